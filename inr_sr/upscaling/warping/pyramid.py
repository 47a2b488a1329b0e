"""Halvings of an image, sampled where a map minifies."""

import numpy as np

from inr_sr.coordinates import located, mirrored
from inr_sr.models.field import SKIP_REACH
from inr_sr.resampling.streaming import shrink_columns, shrink_rows
from inr_sr.upscaling.plan import pad_queries, pad_to_few
from inr_sr.upscaling.warping.anisotropic import Ellipses, Samples, blend, filtered, probes
from inr_sr.upscaling.warping.homography import Places
from inr_sr.values import to_float32

_ROWS_AT_ONCE = 256
_MIN_ATLAS = 2**12  # pixels; larger ones are 4, 16 .. times that, so that programs are few


class Pyramid:
    """An image and its antialiased halvings, mirrored at their borders.

    Level 0 is the image as given, in its own type. The others are made on first use, and hold a
    third as many pixels in all, in float32. A level of n pixels along an axis is followed by one of
    ceil(n / 2) that covers the same length, so that the mirrored level is the level of the mirrored
    image.
    """

    def __init__(self, image: np.ndarray) -> None:
        """`image`: [h, w, c], floating in [0, 1], uint8 or uint16."""
        self._levels = [image]

    @property
    def top(self) -> int:
        """The level of one pixel."""
        return int(max(self._levels[0].shape[:2]) - 1).bit_length()

    def level(self, number: int) -> np.ndarray:
        """[rows, cols, c], floating or, level 0, as given."""
        while len(self._levels) <= number:
            self._levels.append(_halved(self._levels[-1]))
        return self._levels[number]

    def colours(self, places: Places, shapes: Ellipses) -> np.ndarray:
        """Filtered bicubic values, float32 [n, c], not clipped; see `anisotropic`."""
        fine, weight = blend(np.minimum(shapes.level, self.top))
        out = self._sampled(places, shapes, fine)
        between = weight > 0
        if between.any():
            coarse = self._sampled(places.of(between), shapes.of(between), fine[between] + 1)
            out[between] += weight[between, None] * (coarse - out[between])
        return out

    def _sampled(self, places: Places, shapes: Ellipses, level: np.ndarray) -> np.ndarray:
        """Values of queries at levels that are whole numbers."""
        n, position = len(level), places.cell + 0.5 + places.delta
        spread = shapes.spread(level).astype(np.float32)
        steps = np.empty((n, 2, 2), np.float32)
        cell, delta = np.empty((n, 2), np.int32), np.empty((n, 2), np.float32)
        start, width = np.empty(n, np.int32), np.empty(n, np.int32)
        windows, done = [], 0
        for number in np.unique(level).astype(int).tolist():
            image, at = self.level(number), level == number
            ratio = np.divide(image.shape[:2], self._levels[0].shape[:2])
            steps[at] = shapes.axes[at] * (2.0**number * ratio)
            farthest = np.einsum("a,nai->ni", probes(spread[at]), np.abs(steps[at])).max(axis=0)
            reach = np.ceil(farthest).astype(np.int32) + 1  # one for rounding
            pixel, delta[at] = located(position[at] * ratio)
            window, low = _around(image, pixel, reach + SKIP_REACH)
            cell[at] = pixel - low - SKIP_REACH
            start[at], width[at] = done, window.shape[1]
            windows.append(window.reshape(-1, window.shape[2]))
            done += len(windows[-1])
        samples = Samples(*map(pad_queries, (start, width, cell, delta, steps, spread)))
        atlas = pad_to_few(np.concatenate(windows), _MIN_ATLAS, 4)
        return np.array(filtered(atlas, samples, probes(spread)))[:n]  # cut by NumPy: n varies


def _around(
    image: np.ndarray, cell: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels as far as `reach` [2] around cells [n, 2], [rows, cols, c]; where they begin."""
    low, high = cell.min(axis=0) - reach, cell.max(axis=0) + reach + 1
    lines = (mirrored(np.arange(*ends), n) for *ends, n in zip(low, high, image.shape))
    return to_float32(image[np.ix_(*lines)]), low


def _halved(image: np.ndarray) -> np.ndarray:
    """Antialiased bicubic halving, float32, not clipped; odd sizes are rounded up."""
    h, w = image.shape[:2]
    strips = (to_float32(image[row : row + _ROWS_AT_ONCE]) for row in range(0, h, _ROWS_AT_ONCE))
    if w > 1:
        strips = (shrink_columns(strip, -(-w // 2)) for strip in strips)
    return np.concatenate(list(shrink_rows(strips, h, -(-h // 2)) if h > 1 else strips))
