import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval

from inr_sr import models, render
from inr_sr.coordinates import cells, first_output, grid_axis
from inr_sr.errors import InputError
from inr_sr.resampling import resize
from tests.networks import random_model, random_picture, small_config

# LR size, output size: integer, fractional, anisotropic, tall, one pixel, barely larger.
GEOMETRIES = [
    ((6, 7), (12, 14)),
    ((6, 7), (17, 26)),
    ((9, 5), (10, 61)),
    ((1, 1), (5, 4)),
    ((8, 8), (8, 9)),
]


def field_of(decoder, size, **changes):
    model, params = random_model(decoder, **changes)
    return model.apply({"params": params}, random_picture(*size))


def queries(n_in, n_out):
    """Every pixel of an output grid as points [1, Q, 2], and its footprint."""
    parts = [cells(a, b) for a, b in zip(n_in, n_out)]
    cell, delta = (
        np.stack(np.meshgrid(parts[0][i], parts[1][i], indexing="ij"), -1).reshape(1, -1, 2)
        for i in (0, 1)
    )
    footprint = np.array([[a / b for a, b in zip(n_in, n_out)]], np.float32)
    return jnp.asarray(cell), jnp.asarray(delta, jnp.float32), jnp.asarray(footprint)


@pytest.mark.parametrize(("n_in", "n_out"), GEOMETRIES)
def test_an_untrained_model_is_bicubic(n_in, n_out):
    model = models.build(small_config())
    image = random_picture(*n_in)
    field = model.apply({"params": models.init(model, jax.random.key(0))}, image)
    axes = [grid_axis(a, b) for a, b in zip(n_in, n_out)]
    np.testing.assert_allclose(render.grid(field, *axes), resize(image, n_out), atol=3e-6)


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
@pytest.mark.parametrize(("n_in", "n_out"), GEOMETRIES)
def test_grid_equals_points(decoder, n_in, n_out):
    field = field_of(decoder, n_in)
    axes = [grid_axis(a, b) for a, b in zip(n_in, n_out)]
    whole = render.grid(field, *axes)
    assert float(jnp.std(whole - resize(field.image, n_out))) > 0.05  # a field to speak of
    points = render.points(field, *queries(n_in, n_out)).reshape(whole.shape)
    np.testing.assert_allclose(whole, points, atol=2e-5)


def test_pixel_shuffle_answers_at_its_scale():
    field = field_of("pixel_shuffle", (5, 4))
    axes = [grid_axis(5, 15), grid_axis(4, 12)]
    whole = render.grid(field, *axes)
    points = render.points(field, *queries((5, 4), (15, 12))).reshape(whole.shape)
    np.testing.assert_allclose(whole, points, atol=2e-6)
    np.testing.assert_allclose(whole, resize(field.image, (15, 12)) + field.residual, atol=2e-6)
    with pytest.raises(InputError, match="by exactly 3"):
        render.grid(field, grid_axis(5, 10), axes[1])


@pytest.mark.parametrize("decoder", ["spectral", "liif"])
def test_a_window_equals_the_crop(decoder):
    n_in, n_out = (9, 8), (25, 31)
    field = field_of(decoder, n_in)
    whole = render.grid(field, *[grid_axis(a, b) for a, b in zip(n_in, n_out)])
    rows = grid_axis(9, 25, cell=3, count=4, halo=3)
    cols = grid_axis(8, 31, cell=2, count=5, halo=2)
    top, bottom = first_output(3, 9, 25), first_output(7, 9, 25)
    left, right = first_output(2, 8, 31), first_output(7, 8, 31)
    np.testing.assert_allclose(
        render.grid(field, rows, cols), whole[:, top:bottom, left:right], atol=2e-6
    )


def test_spectral_field_is_its_formula():
    """The sum of the decoder's equation in float64, one query at a time."""
    n_in, n_out = (4, 5), (11, 13)
    field = field_of("spectral", n_in)
    b = np.asarray(field.frequencies, np.float64)
    footprint = np.maximum([4 / 11, 5 / 13], field.smallest)
    a = np.exp(-float(field.kappa) * (2 * np.pi) ** 2 * (b**2 @ footprint**2))
    along = np.linalg.norm(b * footprint, axis=1) / np.linalg.norm(b, axis=1)
    u = 1 - 2 * np.log(along) / np.log(field.smallest)  # -1 at the smallest, 1 at an LR pixel
    gains = np.asarray(field.gains, np.float64)
    a *= np.array([1 + chebval(x, [0, *g]) for x, g in zip(u, gains)])
    expected = np.zeros((*n_out, 3))
    (p, dr), (q, dc) = cells(4, 11), cells(5, 13)
    for i in range(11):
        for j in range(13):
            phase = 2 * np.pi * (b @ [dr[i], dc[j]])
            cos, sin = (np.asarray(c, np.float64)[0, p[i], q[j]] for c in (field.cos, field.sin))
            expected[i, j] = cos @ (a * np.cos(phase)) + sin @ (a * np.sin(phase))
    found = field.grid(grid_axis(4, 11), grid_axis(5, 13))[0]
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_cells_finer_than_trained_are_not_sharper():
    """Beyond the largest trained scale the same continuous function is sampled more densely."""
    field = field_of("spectral", (4, 4), spectral={"max_scale": 4.0})
    cell, delta, _ = queries((4, 4), (16, 16))
    at = [field.points(cell, delta, jnp.full((1, 2), 1 / s)) for s in (2.0, 4.0, 30.0)]
    np.testing.assert_array_equal(at[1], at[2])
    assert float(jnp.abs(at[0] - at[1]).max()) > 1e-3
