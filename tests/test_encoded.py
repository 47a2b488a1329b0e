"""An image is encoded once, and what it is asked for does not depend on what was asked before."""

import numpy as np
import pytest

from inr_sr.coordinates import cells, upright_footprint
from inr_sr.errors import InputError
from inr_sr.upscaling import NetworkUpscaler, encoded
from tests.networks import no_memory_beyond, noise_image, random_model

SIZE = (101, 132)


def network(decoder="spectral", **options):
    model, params = random_model(decoder)
    return NetworkUpscaler(model, params, decoder, **options)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


@pytest.fixture
def encodings(monkeypatch):
    """The shape of each tile that is encoded."""
    shapes, encode_tile = [], encoded.encode_tile

    def counting(model, params, tile, halo):
        shapes.append(tile.shape)
        return encode_tile(model, params, tile, halo)

    monkeypatch.setattr(encoded, "encode_tile", counting)
    return shapes


@pytest.mark.devices
@pytest.mark.parametrize("ensemble", [False, True])
def test_each_tile_is_encoded_once(encodings, ensemble):
    upscaler, image = network(tile=16, ensemble=ensemble), noise_image(40, 33)
    other, ways = (57, 33), 8 if ensemble else 1
    whole, smaller = (upscaler.upscale(image, size) for size in (SIZE, other))
    encodings.clear()
    found = upscaler.encode(image)
    np.testing.assert_array_equal(np.concatenate(list(found.strips(SIZE))), whole)
    assert len(encodings) == 9 * ways
    for rows, cols in ((slice(3, 50), slice(60, 131)), (slice(0, 101), slice(0, 1))):
        close(found.window(SIZE, rows, cols), whole[rows, cols])
    np.testing.assert_array_equal(np.concatenate(list(found.strips(other))), smaller)
    assert len(encodings) == 9 * ways


def test_windows_encode_the_tiles_under_them_and_no_others(encodings):
    upscaler, image = network(tile=16), noise_image(64, 48)
    found, size = upscaler.encode(image), (256, 192)
    first = slice(64, 100), slice(70, 120)  # cells 16 .. 25 by 17 .. 30
    expected = upscaler.window(image, size, *first)
    encodings.clear()
    np.testing.assert_array_equal(found.window(size, *first), expected)
    assert len(encodings) == 1
    whole = upscaler.upscale(image, size)
    encodings.clear()
    moved = slice(90, 140), slice(60, 130)
    close(found.window(size, *moved), whole[moved])
    assert len(encodings) == 3  # two rows and two columns of tiles, one of which is there


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
def test_what_was_dropped_is_made_again(encodings, decoder):
    upscaler, image = network(decoder, tile=16), noise_image(40, 33)
    (field,) = upscaler.encode(noise_image(16, 16)).fields([_tile(upscaler)])
    limit = 3 * encoded.field_bytes(field)
    whole, found = upscaler.upscale(image, SIZE), upscaler.encode(image, cache_bytes=limit)
    encodings.clear()
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(found.strips(SIZE))), whole)
        assert sum(map(encoded.field_bytes, found._cache._fields.values())) <= limit
    assert len(encodings) == 18
    part = slice(90, 101), slice(70, 132)  # the last two of the tiles
    close(found.window(SIZE, *part), whole[part])
    assert len(encodings) == 18


def _tile(upscaler):
    tiling = upscaler.encode(noise_image(16, 16)).tiling(slice(0, 16), slice(0, 16))
    return tiling.numbered(0, 0)


def test_larger_requests_lay_larger_tiles(encodings):
    upscaler, image = network(), noise_image(100, 90)
    whole, found = upscaler.upscale(image, (200, 180)), upscaler.encode(image)
    encodings.clear()
    part = slice(100, 112), slice(80, 92)
    close(found.window((200, 180), *part), whole[part])
    close(np.concatenate(list(found.strips((200, 180)))), whole)
    close(found.window((200, 180), *part), whole[part])
    halo = upscaler.planner.model.receptive_field
    assert [shape[0] - 2 * halo for shape in encodings] == [8, 128]


@pytest.mark.devices
@pytest.mark.parametrize("decoder", ["spectral", "liif"])
def test_points_are_the_pixels_of_the_grid(encodings, decoder):
    upscaler, image = network(decoder, tile=16), noise_image(40, 33)
    whole, found = upscaler.upscale(image, SIZE), upscaler.encode(image)
    encodings.clear()
    at = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1).reshape(-1, 2)
    at = np.random.default_rng(0).permutation(at)[:700]
    lines = [cells(n_in, n_out) for n_in, n_out in zip(found.shape, SIZE)]
    cell, delta = (np.stack([lines[i][k][at[:, i]] for i in (0, 1)], -1) for k in (0, 1))
    size = np.divide(found.shape, SIZE).astype(np.float32)
    footprint = np.asarray(upright_footprint(size))[None]
    result = found.points(cell, delta, footprint)
    np.testing.assert_allclose(result, whole[at[:, 0], at[:, 1]], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.points(cell[:5], delta[:5], footprint), result[:5])
    assert found.points(cell[:0], delta[:0], footprint).shape == (0, 3)
    assert len(encodings) == 9


@pytest.mark.devices
def test_tiles_are_halved_when_memory_runs_out(monkeypatch):
    upscaler, image = network(tile=32), noise_image(60, 50)
    size = (90, 100)
    whole, found = upscaler.upscale(image, size), upscaler.encode(image)
    part = slice(0, 20), slice(30, 60)
    close(found.window(size, *part), whole[part])
    no_memory_beyond(monkeypatch, 16)
    close(np.concatenate(list(found.strips(size))), whole)
    cell = np.array([[3, 4], [59, 49]])
    delta, footprint = np.zeros((2, 2)), 0.25 * np.eye(2)[None]
    expected = upscaler.encode(image).points(cell, delta, footprint)
    close(found.points(cell, delta, footprint), expected)
    no_memory_beyond(monkeypatch, 4)
    with pytest.raises(MemoryError, match="no memory for a tile of 8x8"):
        upscaler.encode(image).window(size, *part)
    with pytest.raises(MemoryError, match="no memory for a tile of 8x8"):
        upscaler.encode(image).points(cell, delta, footprint)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (np.array([[0, 4]]), "outside the image, which has (4, 4) LR pixels"),
        (np.array([[-1, 0]]), "outside the image"),
        (np.array([[0.5, 0]]), "expected integers [n, 2]"),
        (np.array([0, 1]), "expected integers [n, 2]"),
    ],
)
def test_cells_that_are_refused(cell, message):
    with pytest.raises(InputError) as caught:
        network().encode(noise_image(4, 4)).points(cell, np.zeros((1, 2)), np.eye(2)[None])
    assert message in str(caught.value)


def test_networks_that_cannot_be_queried_at_points():
    arguments = np.zeros((1, 2), int), np.zeros((1, 2)), np.eye(2)[None]
    with pytest.raises(InputError, match="knows one scale only; points and warps need"):
        network("pixel_shuffle").encode(noise_image(4, 4)).points(*arguments)
    with pytest.raises(InputError, match="is an ensemble"):
        network(ensemble=True).encode(noise_image(4, 4)).points(*arguments)
