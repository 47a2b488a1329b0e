"""Warps: geometry, the network's field, filtering where the map minifies, whole images."""

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import inr_sr
from inr_sr import models, render
from inr_sr.coordinates import cells, mirrored
from inr_sr.errors import InputError
from inr_sr.models.field import Field
from inr_sr.resampling import cubic
from inr_sr.upscaling import NetworkUpscaler, encoded
from inr_sr.upscaling.warping import Homography, blocks
from inr_sr.upscaling.warping.anisotropic import ellipses
from tests.networks import no_memory_beyond, noise_image, small_config, waves

TILTED = np.array([[2.1, 0.4, -3], [-0.3, 1.7, 5], [0.004, -0.006, 1.1]])


@functools.cache
def chain(decoder):
    """A small model and random parameters; NumPy's, because JAX's take seconds to compile."""
    model, rng = models.build(small_config(decoder)), np.random.default_rng(0)
    shapes = jax.eval_shape(functools.partial(models.init, model), jax.random.key(0))
    params = jax.tree.map(lambda x: 0.2 * rng.standard_normal(x.shape, np.float32), shapes)
    if decoder == "spectral":
        head = params["decoder"]
        head["log_kappa"] -= np.float32(3)
        for name in ("frequencies_0", "frequencies_1", "frequencies_2"):
            head[name] *= 4
        for name in ("cos", "sin"):
            head[name]["kernel"] *= head["gains"].shape[0] / 4  # they are divided by their number
    return model, params


def network(decoder="spectral", **options):
    return NetworkUpscaler(*chain(decoder), decoder, **options)


def affine(linear, size, out_size):
    """The map of a [2, 2] matrix that keeps the middle in the middle."""
    shift = np.array(out_size) / 2 - linear @ (np.array(size) / 2)
    return np.column_stack([linear, shift])


def turn(degrees):
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def interpolated(image, matrix, out_size):
    """The result without a network, NaN outside."""
    out = np.full((*out_size, image.shape[2]), np.nan, np.float32)
    homography = Homography.between(matrix, image.shape[:2], out_size)
    for part in blocks.by_interpolation(image, homography, out_size):
        out[part.rows, part.cols][part.mask] = part.colours
    return out


def everywhere(matrix, size, out_size):
    homography = Homography.between(matrix, size, out_size)
    return homography.places(slice(0, out_size[0]), slice(0, out_size[1]))


# Geometry


@pytest.mark.parametrize(("n_in", "n_out"), [(40, 60), (42, 49), (33, 89), (1000, 1001), (7, 7)])
def test_a_scaling_falls_into_the_cells_of_the_grid(n_in, n_out):
    inside, places = everywhere(np.diag([n_out / n_in, 1, 1]), (n_in, 1), (n_out, 1))
    cell, delta = cells(n_in, n_out)
    assert inside.all()
    np.testing.assert_array_equal(places.cell[:, 0], cell)
    np.testing.assert_allclose(places.delta[:, 0], delta, atol=1e-9)


def test_positions_and_jacobian_of_a_homography():
    inside, places = everywhere(TILTED, (90, 80), (60, 70))
    pixel = np.argwhere(inside) + 0.5

    def position(out):
        x = np.linalg.solve(TILTED, np.column_stack([out, np.ones(len(out))]).T)
        return (x[:2] / x[2]).T

    np.testing.assert_allclose(places.cell + 0.5 + places.delta, position(pixel), atol=1e-9)
    for axis, step in enumerate(1e-4 * np.eye(2)):
        slope = (position(pixel + step) - position(pixel - step)) / 2e-4
        np.testing.assert_allclose(places.jacobian[:, :, axis], slope, atol=1e-6)
    shapes = ellipses(places.jacobian)
    np.testing.assert_allclose(
        np.einsum("nk,nki,nkj->nij", shapes.extent**2, shapes.axes, shapes.axes),
        places.jacobian @ places.jacobian.swapaxes(1, 2),
        atol=1e-5,
    )


def test_points_are_the_formula_with_a_footprint_of_their_own():
    field = waves(3, (9, 8))
    _, places = everywhere(TILTED, (9, 8), (24, 22))
    b = np.asarray(field.frequencies, np.float64)
    u, s, _ = np.linalg.svd(places.jacobian)
    j = u * np.maximum(s, field.smallest)[:, None, :]
    extent = np.square(np.einsum("nij,ki->nkj", j, b)).sum(axis=2)
    place = 1 - np.log(extent / np.square(b).sum(axis=1)) / np.log(field.smallest)
    terms = np.cos(np.arange(1, 4) * np.arccos(np.clip(place, -1, 1))[..., None])
    gain = 1 + np.einsum("nkt,kt->nk", terms, np.asarray(field.gains, np.float64))
    a = gain * np.exp(-float(field.kappa) * (2 * np.pi) ** 2 * extent)
    phase = 2 * np.pi * places.delta @ b.T
    row, col = places.cell.T
    expected = sum(
        np.einsum("nck,nk->nc", np.asarray(c, np.float64)[0, row, col], a * wave(phase))
        for c, wave in ((field.cos, np.cos), (field.sin, np.sin))
    )
    footprint = (places.jacobian @ places.jacobian.swapaxes(1, 2)).astype(np.float32)
    delta = places.delta.astype(np.float32)
    found = jax.jit(render.points)(
        Field(None, field), *map(jnp.asarray, (places.cell[None], delta[None], footprint[None]))
    )
    np.testing.assert_allclose(found[0], expected, atol=2e-5 * np.abs(expected).max())


# The network's field


@pytest.mark.parametrize(
    ("decoder", "scale"),
    [
        ("spectral", (1.0, 1.0)),
        ("spectral", (1.5, 1.5)),
        ("spectral", (2.37, 4.1)),
        ("spectral", (3.0, 1.25)),
        ("liif", (2.37, 4.1)),
    ],
)
def test_a_scaling_equals_the_grid_and_a_shift_its_window(decoder, scale):
    image, upscaler = noise_image(26, 20), network(decoder, tile=16)
    size = tuple(round(n * s) for n, s in zip(image.shape, scale))
    matrix = np.diag([size[0] / 26, size[1] / 20, 1])
    expected = upscaler.upscale(image, size)
    assert np.abs(expected - interpolated(image, matrix, size)).max() > 0.05
    assert np.mean((expected > 0) & (expected < 1)) > 0.7  # clipping would hide differences
    np.testing.assert_allclose(upscaler.warp(image, matrix, size), expected, atol=1e-5)
    matrix[:2, 2] = -7, -3
    part = (size[0] - 10, size[1] - 6)
    expected = expected[7 : 7 + part[0], 3 : 3 + part[1]]
    np.testing.assert_allclose(upscaler.warp(image, matrix, part), expected, atol=1e-5)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_those_of_the_result(quarters):
    """The positions are the same, and an odd size puts none between cells."""
    image, upscaler = noise_image(21, 17), network()
    expected = np.rot90(upscaler.upscale(image, (63, 85)), -quarters)
    linear = np.rint(turn(-90 * quarters)) @ np.diag([3, 5])
    matrix = affine(linear, (21, 17), expected.shape[:2])
    found = upscaler.warp(image, matrix, expected.shape[:2])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_where_one_axis_shrinks_it_is_resampled_from_the_field():
    """Whole LR pixels apart, the probes are the pixels that `upscale` sums."""
    image, upscaler = noise_image(54, 20), network(tile=16)
    expected = upscaler.upscale(image, (18, 41))
    found = upscaler.warp(image, np.diag([1 / 3, 41 / 20, 1]), (18, 41))
    plain = interpolated(image, np.diag([1 / 3, 41 / 20, 1]), (18, 41))
    assert np.abs(plain - expected).max() > 0.05  # the residual does something here
    np.testing.assert_allclose(found[2:-2], expected[2:-2], atol=1e-5)


# Minification


def bicubic_at(image, x):
    """Float64 values at positions [..., 2], borders mirrored."""
    first = np.floor(x - 0.5).astype(int)
    total = np.zeros((*x.shape[:-1], image.shape[2]))
    for tap in np.ndindex(4, 4):
        pixel = first + tap - 1
        weight = np.prod(cubic(x - 0.5 - pixel), axis=-1)
        row, col = (mirrored(pixel[..., i], image.shape[i]) for i in (0, 1))
        total += weight[..., None] * image[row, col]
    return total


def supersampled(image, matrix, out_size, count=6):
    """Count^2 samples per output pixel, under the cubic kernel over 4 x 4 output pixels."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]])[:3])
    grid = np.stack(np.mgrid[: out_size[0], : out_size[1]], axis=-1) + 0.5
    total, weights = np.zeros((*out_size, image.shape[2])), 0.0
    for place in (np.stack(np.indices((4 * count,) * 2), -1).reshape(-1, 2) + 0.5) / count - 2:
        x = (grid + place) @ inverse[:2, :2].T + inverse[:2, 2]
        weight = np.prod(cubic(place))
        total, weights = total + weight * bicubic_at(image, x), weights + weight
    return total / weights


N = 100
ROW, COL = np.mgrid[:N, :N] + 0.5 - N / 2
CHECKERBOARD = (0.5 + 0.4 * (-1) ** np.add(*np.mgrid[:N, :N]))[:, :, None]
ZONES = (0.5 + 0.4 * np.cos(np.pi * (ROW**2 + COL**2) / N))[:, :, None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "along"), [((0.7, 0.7), 30), ((0.4, 0.4), 10), ((0.25, 1), 30), ((0.1, 0.6), 70)]
)
def test_where_the_map_minifies_nothing_aliases(scale, along):
    linear = turn(along) @ np.diag(scale) @ turn(-along)
    matrix, size = affine(linear, (N, N), (24, 24)), (24, 24)
    for image, worst in ((CHECKERBOARD, 0.02), (ZONES, 0.05)):
        expected = supersampled(image, matrix, size)
        inside = everywhere(matrix, (N, N), size)[0]
        found = interpolated(image, matrix, size)[inside] - expected[inside]
        positions = np.argwhere(inside) + 0.5 - matrix[:, 2]
        raw = bicubic_at(image, positions @ np.linalg.inv(linear).T) - expected[inside]
        assert np.sqrt(np.mean(found**2)) < worst
        assert np.sqrt(np.mean(found**2)) < 0.35 * np.sqrt(np.mean(raw**2))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 0.3), (4, 1), (8, 0.5)])
@pytest.mark.parametrize("size", [1, 2**0.5, 2, 4])
def test_no_step_where_filtering_sets_in_or_levels_change(shape, size):
    image = np.random.default_rng(0).random((64, 64, 1))
    results = []
    for change in (1 - 1e-5, 1, 1 + 1e-5):
        linear = turn(25) / (np.array(shape) * size * change)
        results.append(interpolated(image, affine(linear, (64, 64), (6, 6)), (6, 6)))
    np.testing.assert_allclose(results[0], results[1], atol=1e-3)
    np.testing.assert_allclose(results[2], results[1], atol=1e-3)


def test_a_vanishing_image_is_its_mean_and_needs_no_network(monkeypatch):
    upscaler, image = network(), noise_image(75, 60)
    monkeypatch.setattr(encoded, "encode_tile", None)
    found = upscaler.warp(image, np.diag([0.01, 0.01, 1]), (1, 1))
    np.testing.assert_allclose(found[0, 0], image.mean(axis=(0, 1)), atol=0.02)


# Whole images


@pytest.mark.slow
def test_thin_images_take_little_memory():
    image = noise_image(1, 4096)
    tracemalloc.start()
    found = network().warp(image, np.diag([1, 1 / 512, 1]), (1, 8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
    means = image.reshape(8, 512, 3).mean(axis=1)
    np.testing.assert_allclose(found[0, 2:-2], means[2:-2], atol=0.02)


@pytest.mark.devices
def test_sizes_of_blocks_and_tiles_compile_next_to_nothing():
    """How many queries fall into each is new with every warp."""
    upscaler, image = network(tile=16), noise_image(60, 50)
    compiled = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.jit(lambda x: 3 * x)(np.float32(1))
        assert compiled  # it listens
        for degrees in (20, 23):
            compiled.clear()
            matrix = affine(np.diag([2, 0.5]) @ turn(degrees), (60, 50), (200, 90))
            upscaler.warp(image, matrix, (200, 90))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(compiled) < 3  # numbers of queries are rounded up to a few


@pytest.mark.slow
@pytest.mark.devices
def test_blocks_and_tiles_do_not_show(monkeypatch):
    """From fourfold to a tenth, the horizon included, and in any multiple of the matrix."""
    image = noise_image(70, 60)
    matrix = np.array([[-3, 0, 224], [-7.5, 6, 330], [-0.15, 0, 10.2]])
    results = []
    for block, tile, times in ((64, 32, 1), (29, 8, -3)):
        monkeypatch.setattr(blocks, "BLOCK", block)
        upscaler = network(tile=tile)
        results.append(upscaler.warp(image, times * matrix, (90, 100), fill=1))
    _, places = everywhere(matrix, (70, 60), (90, 100))
    extent = ellipses(places.jacobian).extent
    assert extent.min() < 0.3
    assert extent.max() > 10
    assert 0.2 < np.mean(results[0] == 1) < 0.8
    np.testing.assert_allclose(results[1], results[0], atol=1e-5)


@pytest.mark.devices
def test_tiles_are_halved_when_memory_runs_out(monkeypatch):
    image, upscaler = noise_image(60, 50), network(tile=64)
    request = image, affine(2 * turn(20), (60, 50), (90, 80)), (90, 80)
    expected = upscaler.warp(*request)
    no_memory_beyond(monkeypatch, 16)
    np.testing.assert_allclose(upscaler.warp(*request), expected, atol=1e-5)
    no_memory_beyond(monkeypatch, 4)
    with pytest.raises(MemoryError, match="no memory for a tile of 8x8"):
        upscaler.warp(*request)


def test_there_and_back_gives_the_image():
    with Image.open("inr_sr/images/test/chelsea.webp") as photo:
        image = np.asarray(photo.convert("RGB").crop((150, 60, 230, 130)))
    matrix = np.vstack([affine(3 * turn(30), (70, 80), (330, 340)), [0, 0, 1]])
    large = inr_sr.warp(image, matrix, (330, 340))
    back = inr_sr.warp(large, np.linalg.inv(matrix), (70, 80))
    error = (np.float64(back) - image)[3:-3, 3:-3]  # beyond its border the large one is black
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 38


def test_images_come_back_in_their_form():
    rgba = np.random.default_rng(0).integers(0, 256, (12, 14, 4), np.uint8)
    rgba[:, :, 3] = 255
    upscaler, matrix = network(), affine(2 * turn(20), (12, 14), (30, 40))
    found = upscaler.warp(rgba, matrix, (30, 40), fill=0.5)
    inside = everywhere(matrix, (12, 14), (30, 40))[0]
    np.testing.assert_array_equal(found[:, :, 3], 255 * inside)
    assert (found[~inside, :3] == 128).all()
    rgb = upscaler.warp(rgba[:, :, :3], matrix, (30, 40), fill=0.5)
    np.testing.assert_array_equal(found[:, :, :3], rgb)
    as_pil = upscaler.warp(Image.fromarray(rgba), matrix, (30, 40), fill=0.5)
    np.testing.assert_array_equal(np.asarray(as_pil), found)
    floating = upscaler.warp(rgba[:, :, :3] / 255.0, matrix, (30, 40), fill=0.5)
    assert floating.dtype == np.float32
    np.testing.assert_array_equal(np.floor(255 * floating + np.float32(0.5)), rgb)
    grey = rgba[:, :, 0].astype(np.uint16)
    assert upscaler.warp(grey, matrix, (30, 40)).shape == (30, 40)
    identity = upscaler.warp(rgba, np.eye(3), (12, 14))
    np.testing.assert_array_equal(identity, upscaler.upscale(rgba, (12, 14)))


def test_sixteen_bits_and_translucency_are_kept():
    rng = np.random.default_rng(0)
    rgb = rng.integers(20_000, 40_000, (12, 14, 3), np.uint16)
    alpha = np.linspace(1, 65_535, 12 * 14).reshape(12, 14, 1).astype(np.uint16)
    upscaler, matrix, size = network(), affine(2 * turn(20), (12, 14), (30, 40)), (30, 40)
    found = upscaler.warp(np.concatenate([rgb, alpha], axis=2), matrix, size, fill=1)
    floating = upscaler.warp(rgb / 65_535, matrix, size, fill=1)
    np.testing.assert_array_equal(found[:, :, :3], np.floor(65_535 * floating + np.float32(0.5)))
    opacity = np.nan_to_num(interpolated(alpha / 65_535, matrix, size)[:, :, 0])
    np.testing.assert_array_equal(found[:, :, 3], np.floor(65_535 * opacity + np.float32(0.5)))
    assert found[:, :, :3].std() > 1000
    assert len(np.unique(found[:, :, 3])) > 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matrix": np.eye(4)}, r"shape \(4, 4\); expected \(3, 3\)"),
        ({"matrix": "abc"}, "no number"),
        ({"matrix": np.full((3, 3), np.nan)}, "not finite"),
        ({"matrix": np.diag([1, 0, 1])}, "cannot be inverted"),
        ({"matrix": np.zeros((3, 3))}, "cannot be inverted"),
        ({"matrix": np.diag([1e308, 1e308, 1e-308])}, "cannot be inverted"),
        ({"matrix": [[1, 2, 3], [2, 4, 6 + 1e-12], [0, 0, 1]]}, "cannot be inverted"),
        ({"out_size": (5, 0)}, "columns 0"),
        ({"out_size": (5.5, 3)}, "rows 5.5"),
        ({"out_size": 7}, "output size 7"),
        ({"out_size": (10**5, 10**5)}, "gigapixels"),
        ({"fill": 2}, "fill 2 .* from 0 to 1"),
        ({"fill": "black"}, "fill 'black'"),
        ({"image": np.zeros((4, 4, 2), np.float32)}, "2 channels"),
        ({"image": np.zeros(4, np.uint8)}, r"shape \(4,\)"),
    ],
)
def test_bad_requests(changes, message):
    request = {"image": noise_image(4, 4), "matrix": np.eye(3), "out_size": (4, 4), **changes}
    with pytest.raises(InputError, match=message):
        network().warp(**request)


def test_networks_that_cannot_warp():
    fixed = NetworkUpscaler(models.build(small_config("pixel_shuffle")), np.eye(2), "fixed")
    with pytest.raises(InputError, match="fixed knows one scale only"):
        fixed.warp(noise_image(4, 4), np.eye(3), (4, 4))
    with pytest.raises(InputError, match="ensemble"):
        network(ensemble=True).warp(noise_image(4, 4), np.eye(3), (4, 4))
