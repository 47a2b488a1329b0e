from fractions import Fraction

import numpy as np
import pytest

from inr_sr.coordinates import cells, first_output, grid_axis, window_axis
from inr_sr.errors import InputError
from inr_sr.sizes import output_size

SIZES = [(1, 1), (1, 7), (5, 5), (7, 11), (64, 96), (100, 270), (31, 127), (333, 667), (48, 1440)]


def exact(n_in, n_out):
    """Cell and offset of every output pixel, in rational numbers."""
    x = [Fraction(2 * j + 1, 2) * n_in / n_out for j in range(n_out)]
    return [v.__floor__() for v in x], [v - v.__floor__() - Fraction(1, 2) for v in x]


@pytest.mark.parametrize(("n_in", "n_out"), [*SIZES, (96, 64), (10, 3)])
def test_cells_are_exact(n_in, n_out):
    p, delta = cells(n_in, n_out)
    cell, offset = exact(n_in, n_out)
    assert p.tolist() == cell
    np.testing.assert_array_equal(delta, [float(o) for o in offset])
    window = cells(n_in, n_out, n_out // 3, n_out)
    np.testing.assert_array_equal(window[0], p[n_out // 3 :])
    np.testing.assert_array_equal(window[1], delta[n_out // 3 :])


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_an_axis_covers_its_cells_and_no_more(n_in, n_out):
    middle = n_in // 2
    for cell, count in ((0, n_in), (0, middle), (middle, n_in - middle)):
        if not count:
            continue
        axis = grid_axis(n_in, n_out, cell=cell, count=count, origin=cell - 3)
        assert axis.first == 3
        begin, end = first_output(cell, n_in, n_out), first_output(cell + count, n_in, n_out)
        p, delta = cells(n_in, n_out, begin, end)
        np.testing.assert_array_equal(axis.cell, p - cell)
        np.testing.assert_array_equal(axis.delta, delta.astype(np.float32))
        # What a renderer reconstructs from cell starts and steps is where the pixels are.
        at, slot = np.divmod(np.asarray(axis.select), axis.slots)
        np.testing.assert_array_equal(at, p - cell)
        rebuilt = np.asarray(axis.start)[at] + slot * np.float32(axis.step)
        np.testing.assert_allclose(rebuilt, delta, atol=1e-6)
    assert first_output(n_in, n_in, n_out) == n_out


def test_an_axis_is_padded_by_its_last_pixel():
    plain, padded = grid_axis(4, 9), grid_axis(4, 9).padded(16)
    for name in ("cell", "delta", "select"):
        a, b = np.asarray(getattr(plain, name)), np.asarray(getattr(padded, name))
        np.testing.assert_array_equal(b, np.pad(a, (0, 7), mode="edge"))


def test_output_size_rounds_half_up():
    assert [output_size(n, s) for n, s in ((100, 2.7), (5, 0.5), (3, 0.5), (1, 0.1))] == [
        270, 3, 2, 1,
    ]  # fmt: skip


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "x"])
def test_scales_that_are_none(scale):
    with pytest.raises(InputError, match="scale"):
        output_size(4, scale)


def test_no_run_of_cells_is_longer_than_the_longest():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n_in = int(rng.integers(1, 60))
        axis = grid_axis(n_in, n_in + int(rng.integers(0, 5 * n_in)))
        count = int(rng.integers(1, n_in + 1))
        for first in range(n_in - count + 1):
            begin, end = np.searchsorted(axis.cell, (first, first + count))
            assert end - begin <= axis.longest(count)


@pytest.mark.parametrize(
    "window", [slice(3, 3), slice(-1, 4), slice(2, 11), slice(5, 2), slice(0, 8, 2)]
)
def test_windows_that_are_none(window):
    with pytest.raises(InputError, match=r"allowed: .* 0 <= start < stop <= 10"):
        window_axis(4, 10, window)


def test_rendering_does_not_shrink():
    with pytest.raises(InputError, match="cannot be rendered to 3 pixels"):
        grid_axis(4, 3)
    with pytest.raises(InputError, match="0 cells of an axis"):
        grid_axis(4, 8, cell=4)
