import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval

from inr_sr import models, render
from inr_sr.coordinates import cells, grid_axis, upright_footprint, window_axis
from inr_sr.errors import InputError
from inr_sr.models.field import SKIP_REACH, Field
from inr_sr.render import streaming
from inr_sr.resampling import resize
from tests.networks import random_images, random_model, small_config, waves

# LR size, output size: integer, fractional, anisotropic, tall, one pixel, barely larger.
GEOMETRIES = [
    ((6, 7), (12, 14)),
    ((6, 7), (17, 26)),
    ((9, 5), (10, 61)),
    ((1, 1), (5, 4)),
    ((8, 8), (8, 9)),
]


# Compiled only because that takes less time than one small program per operation.
grid, points = jax.jit(render.grid), jax.jit(render.points)


def field_of(decoder, size):
    model, params = random_model(decoder)
    return jax.jit(model.apply)({"params": params}, random_images(*size))


def enlarged(n_in, n_out):
    """The bicubic enlargement of `field_of`'s image."""
    return resize(random_images(*n_in), n_out)


def axes(n_in, n_out):
    return [grid_axis(a, b) for a, b in zip(n_in, n_out)]


def queries(n_in, n_out):
    """Every pixel of an output grid as points [1, Q, 2], and their footprint."""
    parts = [cells(a, b) for a, b in zip(n_in, n_out)]
    cell, delta = (
        np.stack(np.meshgrid(parts[0][i], parts[1][i], indexing="ij"), -1).reshape(1, -1, 2)
        for i in (0, 1)
    )
    footprint = upright_footprint(jnp.array([[[a / b for a, b in zip(n_in, n_out)]]], jnp.float32))
    return jnp.asarray(cell), jnp.asarray(delta, jnp.float32), footprint


def at_once(monkeypatch, count):
    """Strips of so many LR rows."""
    monkeypatch.setattr(
        streaming, "_rows_at_once", lambda field, rows, cols: min(count, rows.count)
    )


def in_one(strips):
    """Strips as one image, checked to follow each other."""
    strips = list(strips)
    ends = [0, *(strip.rows.stop for strip in strips)]
    assert [strip.rows.start for strip in strips] == ends[:-1]
    return np.concatenate([strip.colours for strip in strips], axis=1)


def formula(field, n_in, n_out):
    """The decoder's equation in float64, one query at a time as far as its result shows."""
    b = np.asarray(field.frequencies, np.float64)
    size = np.maximum([a / b for a, b in zip(n_in, n_out)], field.smallest)
    a = np.exp(-float(field.kappa) * (2 * np.pi) ** 2 * (b**2 @ size**2))
    along = np.linalg.norm(b * size, axis=1) / np.linalg.norm(b, axis=1)
    u = 1 - 2 * np.log(along) / np.log(field.smallest)  # -1 at the smallest, 1 at an LR pixel
    gains = np.asarray(field.gains, np.float64)
    a *= np.array([1 + chebval(x, [0, *g]) for x, g in zip(np.clip(u, -1, 1), gains)])
    (p, dr), (q, dc) = cells(n_in[0], n_out[0]), cells(n_in[1], n_out[1])
    cos, sin = (np.asarray(c, np.float64)[0][p][:, q] for c in (field.cos, field.sin))
    phase = 2 * np.pi * (dr[:, None, None] * b[:, 0] + dc[None, :, None] * b[:, 1])
    return np.einsum("ijck,ijk->ijc", cos, a * np.cos(phase)) + np.einsum(
        "ijck,ijk->ijc", sin, a * np.sin(phase)
    )


@pytest.mark.parametrize(("n_in", "n_out"), GEOMETRIES)
def test_an_untrained_model_is_bicubic(n_in, n_out):
    model = models.build(small_config())
    params = models.init(model, jax.random.key(0))
    field = jax.jit(model.apply)({"params": params}, random_images(*n_in))
    np.testing.assert_allclose(grid(field, *axes(n_in, n_out)), enlarged(n_in, n_out), atol=3e-6)


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
@pytest.mark.parametrize(("n_in", "n_out"), GEOMETRIES)
def test_grid_equals_points(decoder, n_in, n_out):
    field = field_of(decoder, n_in)
    whole = grid(field, *axes(n_in, n_out))
    assert float(jnp.std(whole - enlarged(n_in, n_out))) > 0.05  # a field to speak of
    found = points(field, *queries(n_in, n_out)).reshape(whole.shape)
    np.testing.assert_allclose(found, whole, atol=2e-5)


def test_pixel_shuffle_answers_at_its_scale():
    field = field_of("pixel_shuffle", (5, 4))
    whole = grid(field, *axes((5, 4), (15, 12)))
    found = points(field, *queries((5, 4), (15, 12))).reshape(whole.shape)
    np.testing.assert_allclose(found, whole, atol=2e-6)
    pixels = field.function.pixels.transpose(0, 1, 3, 2, 4, 5).reshape(1, 15, 12, 3)
    np.testing.assert_allclose(whole, enlarged((5, 4), (15, 12)) + pixels, atol=2e-6)
    for n_out in (10, 14):
        with pytest.raises(InputError, match="by exactly 3"):
            grid(field, grid_axis(5, n_out), grid_axis(4, 12))


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
def test_a_batch_is_its_images(decoder, monkeypatch):
    model, params = random_model(decoder)
    encode = jax.jit(model.apply)
    batch = random_images(7, 6, batch=3)
    at_once(monkeypatch, 3)  # of 7: the last two overlap
    for n_out in ((21, 18), (24, 20)):
        rows, cols = axes((7, 6), n_out)
        together = encode({"params": params}, batch)
        alone = [grid(encode({"params": params}, batch[i][None]), rows, cols) for i in range(3)]
        expected = np.concatenate(alone)
        np.testing.assert_allclose(grid(together, rows, cols), expected, atol=2e-5)
        strips = in_one(render.strips(together, rows, cols))
        np.testing.assert_allclose(strips, expected, atol=2e-5)


def test_axes_lie_in_the_field():
    field = Field(None, waves(0, (8, 8)))
    whole = grid_axis(8, 16)
    for axis in (grid_axis(16, 32, cell=8, count=8), grid_axis(8, 16, cell=4, count=6)):
        with pytest.raises(InputError, match="does not lie in a field of 8"):
            render.grid(field, axis, whole)
        with pytest.raises(InputError, match="does not lie in a field of 8"):
            list(render.strips(field, whole, axis))


def test_tables_that_take_too_much_are_refused():
    field, large = Field(None, waves(0, (1, 1), count=600)), grid_axis(1, 1000)
    for render_all in (render.grid, lambda *a: list(render.strips(*a))):
        with pytest.raises(InputError, match=r"1000x1000 .* 600 waves, need .* 1200000000 bytes"):
            render_all(field, large, large)


@pytest.mark.parametrize("n_out", [(210, 180), (217, 183)])
def test_strips_take_what_they_may(n_out, monkeypatch):
    batch, (rows, cols) = 2, axes((70, 60), n_out)
    field = Field(None, waves(0, (70, 60), batch=batch))
    lengths = {}
    monkeypatch.setattr(streaming, "MAX_MERGED", 1)
    for size in (1, 2**17, 2**18, 2**24):
        monkeypatch.setattr(streaming, "STRIP_BYTES", size)
        strips = list(render.strips(field, rows, cols))
        lengths[size] = len(strips)
        largest = max(strip.colours.nbytes for strip in strips)
        assert largest <= size or {len(strips)} <= {1, 70}
    assert lengths[1] == 70
    assert 70 > lengths[2**17] > lengths[2**18] > 1
    assert lengths[2**24] == 1
    monkeypatch.setattr(streaming, "MAX_MERGED", 40)  # what may stay in one
    monkeypatch.setattr(streaming, "STRIP_BYTES", 2**17)
    assert len(list(render.strips(field, rows, cols))) == 1


@pytest.mark.devices
@pytest.mark.parametrize("seed", range(12))
def test_all_ways_to_render_are_the_formula(seed, monkeypatch):
    """Grid, strips and points at random scales from 1 to 40, against float64."""
    rng = np.random.default_rng(seed)
    n_in = rng.integers(1, 12, 2).tolist()
    scales = np.exp(rng.uniform(0, np.log(40), 2))
    if seed % 3 == 0:  # integers along both axes take another path
        scales = np.round(scales)
    elif seed % 3 == 1:
        scales[seed // 3 % 2] = 3
    n_out = [max(n, round(n * s)) for n, s in zip(n_in, scales)]
    residual = waves(seed, n_in)
    field, expected = Field(None, residual), formula(residual, n_in, n_out)
    close = {"atol": 1e-5 * np.abs(expected).max(), "rtol": 0}
    np.testing.assert_allclose(grid(field, *axes(n_in, n_out))[0], expected, **close)
    at_once(monkeypatch, (1, 3, 40)[seed // 3 % 3])
    strips = render.strips(field, *axes(n_in, n_out))
    np.testing.assert_allclose(in_one(strips)[0], expected, **close)
    found = points(field, *queries(n_in, n_out)).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, **close)


@pytest.mark.parametrize("decoder", ["spectral", "liif", "pixel_shuffle"])
@pytest.mark.parametrize("seed", range(4))
def test_a_window_equals_the_crop(decoder, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    n_in = rng.integers(5, 12, 2).tolist()
    scale = 3 if decoder == "pixel_shuffle" or seed == 0 else rng.uniform(1, 6)
    n_out = [int(n * scale) for n in n_in]
    field = field_of(decoder, n_in)
    whole = grid(field, *axes(n_in, n_out))
    at_once(monkeypatch, 2)
    for _ in range(2):
        parts = [slice(*sorted(rng.choice(n + 1, 2, replace=False).tolist())) for n in n_out]
        window = [window_axis(a, b, part) for a, b, part in zip(n_in, n_out, parts)]
        expected = whole[:, parts[0], parts[1]]
        np.testing.assert_allclose(grid(field, *window), expected, atol=1e-5)
        np.testing.assert_allclose(in_one(render.strips(field, *window)), expected, atol=1e-5)


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
def test_a_field_without_an_image_is_its_residual(decoder):
    field = field_of(decoder, (4, 5))
    bare, (rows, cols) = Field(None, field.function), axes((4, 5), (11, 13))
    expected = grid(field, rows, cols) - enlarged((4, 5), (11, 13))
    np.testing.assert_allclose(grid(bare, rows, cols), expected, atol=2e-6)
    np.testing.assert_allclose(in_one(render.strips(bare, rows, cols)), expected, atol=2e-6)
    found = points(bare, *queries((4, 5), (11, 13))).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
def test_patches_equal_points(decoder):
    """Each image of a batch at a scale of its own; scales between whole ones and ties too."""
    model, params = random_model(decoder)
    field = jax.jit(model.apply)({"params": params}, random_images(12, 12, batch=5))
    scale = np.array([1.0, 1.5, 2.7, 3.0, 4.0], np.float32)
    first = np.array([[0, 3], [2, 9], [5, 0], [27, 27], [39, 20]])
    pixel = first[:, None, None] + np.stack(np.meshgrid(*[range(9)] * 2, indexing="ij"), -1)[None]
    x = (pixel.astype(np.float32) + 0.5) / scale[:, None, None, None]
    cell = np.minimum(np.floor(x), 11).astype(np.int32)
    delta = jnp.asarray(x - cell - 0.5, jnp.float32)
    size = jnp.asarray(1 / scale)[:, None].repeat(2, axis=1)
    found = jax.jit(render.patches, static_argnums=4)(field, jnp.asarray(cell), delta, size, 4)
    flat = (jnp.asarray(a).reshape(5, 81, 2) for a in (cell, delta))
    expected = points(field, *flat, upright_footprint(size[:, None])).reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=3e-5)


def test_a_halo_is_the_image_around():
    """A field of the middle of an image, encoded with its surroundings, is the middle's field."""
    for decoder in ("spectral", "liif", "pixel_shuffle"):
        model, params = random_model(decoder)
        halo, image = model.receptive_field, random_images(30, 30)
        whole = jax.jit(model.apply)({"params": params}, image)
        scale = model.fixed_scale or 2
        inside = slice(halo * scale, (30 - halo) * scale)
        window = window_axis(30, 30 * scale, inside)
        expected = grid(whole, window, window)
        axis = grid_axis(30 - 2 * halo, (30 - 2 * halo) * scale)
        part = jax.jit(model.apply, static_argnums=2)({"params": params}, image, halo)
        assert part.image.shape[1] == 30 - 2 * halo + 2 * SKIP_REACH
        np.testing.assert_allclose(grid(part, axis, axis), expected, atol=2e-5)


def test_cells_finer_than_trained_are_not_sharper():
    """Beyond the largest trained scale the same continuous function is sampled more densely."""
    field = waves(0, (4, 4))
    cell, delta, _ = queries((4, 4), (16, 16))
    at = [
        field.points(cell, delta, upright_footprint(jnp.full((1, 1, 2), 1 / s)))
        for s in (2.0, 4.0, 30.0)
    ]
    np.testing.assert_array_equal(at[1], at[2])
    assert float(jnp.abs(at[0] - at[1]).max()) > 1e-3
