"""Anisotropic filtering: colours where output pixels are larger than LR pixels, without aliasing.

An output pixel is an ellipse on the LR lattice; the lengths of its axes are the singular values of
J (EWA, Heckbert 1989). Where an axis is longer than an LR pixel, the field is averaged along it: by
probes one pixel apart, weighted by the antialiasing cubic of `resampling`, stretched to the
ellipse. At one pixel that kernel is zero at all probes but the middle one, so filtering sets in
continuously from plain interpolation; along the axes of an image it is what `resize` does.

Probes stay few because they are taken from a pyramid of halvings (mip-mapping, Williams 1983). The
level is log2 of the shorter axis, at least 0, and more where the longer axis exceeds MAX_ASPECT
times the shorter. In the upper half of the way to the next level the two levels are blended
linearly, so that no step shows. The finer level is filtered all the way: sampled without a filter,
as graphics cards do, half a checkerboard would be left at 1.5 LR pixels; and a blend that began at
once would blur.

What the network adds belongs to level 0 and fades out with it. It is averaged along the longer axis
only: in a round ellipse larger than a pixel it is nearly zero, as the network is trained at x1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from inr_sr.coordinates import Array, located, mirrored
from inr_sr.models.field import SKIP_REACH, FieldFunction
from inr_sr.resampling import CUBIC_REACH, bicubic, cubic
from inr_sr.resampling.streaming import shrink_columns, shrink_rows
from inr_sr.upscaling.plan import pad_queries, pad_to_few
from inr_sr.upscaling.warping.homography import Places
from inr_sr.values import to_float32

MAX_ASPECT = 4.0
"""Longest an ellipse may be on its level, in units of its shorter axis, or of a pixel if longer."""

MAX_PROBE_REACH = 16
"""LR cells beyond its own that a query's probes of the field's function may reach."""

_ROWS_AT_ONCE = 256  # of a level that is halved
_MIN_ATLAS = 2**12  # pixels; larger ones are 4, 16 .. times that, so that programs are few


class Ellipses(NamedTuple):
    """Output pixels on the LR lattice.

    Attributes:
      axes: float64 [n, 2, 2] unit vectors (row, col) along the longer and the shorter axis.
      extent: float64 [n, 2] the singular values of J, LR pixels, the larger first.
      level: float64 [n] level of the pyramid, see `blend`; 0 where the map does not minify.
    """

    axes: np.ndarray
    extent: np.ndarray
    level: np.ndarray

    def of(self, mask: np.ndarray) -> "Ellipses":
        """The ellipses under a mask, bool [n]."""
        return Ellipses(*(x[mask] for x in self))

    @property
    def minified(self) -> np.ndarray:
        """Whether plain interpolation would alias, bool [n]."""
        minified: np.ndarray = self.extent[:, 0] > 1
        return minified

    @property
    def probe_footprint(self) -> np.ndarray:
        """float32 [n, 2, 2], the footprints of probes: no longer than an LR pixel."""
        squared = np.square(np.minimum(self.extent, 1))
        found: np.ndarray = np.einsum("na,nai,naj->nij", squared, self.axes, self.axes)
        return found.astype(np.float32)

    def spread(self, level: ArrayLike) -> np.ndarray:
        """Extents [n, 2] in pixels of a level, clipped to 1 .. 2 MAX_ASPECT."""
        extent = self.extent / 2.0 ** np.asarray(level)[..., None]
        clipped: np.ndarray = np.clip(extent, 1, 2 * MAX_ASPECT)
        return clipped


def ellipses(jacobian: np.ndarray) -> Ellipses:
    """The ellipses of output pixels, in closed form; `jacobian`: [n, 2, 2]."""
    rows, cols = (np.square(jacobian[:, i]).sum(axis=1) for i in (0, 1))
    mixed = (jacobian[:, 0] * jacobian[:, 1]).sum(axis=1)
    longer = np.sqrt((rows + cols) / 2 + np.hypot((rows - cols) / 2, mixed))
    area = np.abs(jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] * jacobian[:, 1, 0])
    extent = np.stack([longer, area / longer], axis=1)
    extent[(extent > 1) & (extent < 1 + 1e-6)] = 1  # rotations
    # The small term gives a round ellipse the direction of the rows, whatever the rounding.
    angle = np.arctan2(2 * mixed, rows - cols + 1e-6 * (rows + cols)) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    axes = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    level = np.log2(np.maximum(1, np.maximum(extent[:, 1], extent[:, 0] / MAX_ASPECT)))
    return Ellipses(axes, extent, level)


def blend(level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The finer of the two levels around a level, float64, and the weight of the coarser."""
    fine = np.floor(level)
    return fine, np.clip(2 * (level - fine) - 1, 0, 1).astype(np.float32)


def probes(spread: np.ndarray) -> np.ndarray:
    """Probes on each side of the middle, int32 [axes], that kernels of these spreads need."""
    most = spread.max(axis=0, initial=1)
    return np.where(most > 1, np.ceil(CUBIC_REACH * most) - 1, 0).astype(np.int32)


class Samples(NamedTuple):
    """Where a filter samples images that lie one after the other in an atlas.

    Attributes:
      start: int32 [n] index in the atlas of the first pixel of each query's image.
      width: int32 [n] pixels per row of that image.
      cell: int32 [n, 2] pixel of each query in that image, less SKIP_REACH.
      delta: float32 [n, 2] offset from the pixel's centre.
      steps: float32 [n, 2, 2] distance of probes (row, col), along either axis of the ellipse.
      spread: float32 [n, 2] see `Ellipses.spread`.
    """

    start: Array
    width: Array
    cell: Array
    delta: Array
    steps: Array
    spread: Array


@jax.jit
def filtered(atlas: jax.Array, at: Samples, reach: jax.Array) -> jax.Array:
    """Bicubic values averaged over ellipses.

    Args:
      atlas: float32 [pixels, C].
      at: where.
      reach: int32 [2], see `probes`; traced, so that one program serves all.

    Returns:
      float32 [n, C], not clipped.
    """
    across = 2 * reach[1] + 1
    places = jnp.asarray(at.cell), jnp.asarray(at.delta)

    def value(cell: jax.Array, delta: jax.Array) -> jax.Array:
        index, weight = bicubic.taps_at(cell, delta)
        row = at.start[:, None] + index[:, 0] * at.width[:, None]
        total = jnp.zeros((len(cell), atlas.shape[1]), jnp.float32)
        for i in range(4):
            for j in range(4):
                tap = (weight[:, 0, i] * weight[:, 1, j])[:, None]
                # Probes beyond a query's own kernel may leave its image; their weight is 0.
                pixel = atlas.at[row[:, i] + index[:, 1, j]].get(mode="clip")
                total = total + tap * pixel
        return total

    def probe(i: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        p = jnp.stack([i // across - reach[0], i % across - reach[1]]).astype(jnp.float32)
        weight = jnp.prod(cubic(p[None] / at.spread, xp=jnp), axis=1)[:, None]
        offset = p[0] * at.steps[:, 0] + p[1] * at.steps[:, 1]
        return sums[0] + weight * value(*_moved(*places, offset)), sums[1] + weight

    none = jnp.zeros((len(at.cell), atlas.shape[1]), jnp.float32), jnp.zeros((len(at.cell), 1))
    total, weight = jax.lax.fori_loop(0, (2 * reach[0] + 1) * across, probe, none)
    mean: jax.Array = total / weight
    return mean


@jax.jit
def averaged(
    function: FieldFunction,
    cell: jax.Array,
    delta: jax.Array,
    footprint: jax.Array,
    step: jax.Array,
    spread: jax.Array,
    reach: jax.Array,
) -> jax.Array:
    """Values of a field's function averaged along the longer axes of ellipses.

    Args:
      function: a `models.field.FieldFunction` of one image; covers MAX_PROBE_REACH cells around
        the queries'.
      cell, delta, footprint: [n, ...], see `render.points`.
      step: float32 [n, 2] unit vectors along the longer axes.
      spread: float32 [n] see `Ellipses.spread`.
      reach: int32 [], see `probes`.

    Returns:
      float32 [n, 3].
    """

    def probe(i: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        p = (i - reach).astype(jnp.float32)
        weight = cubic(p / spread, xp=jnp)[:, None]
        at = _moved(cell, delta, p * step)
        value = function.points(at[0][None], at[1][None], footprint[None])[0]
        return sums[0] + weight * value, sums[1] + weight

    none = jnp.zeros((len(cell), 3), jnp.float32), jnp.zeros((len(cell), 1), jnp.float32)
    total, weight = jax.lax.fori_loop(0, 2 * reach + 1, probe, none)
    mean: jax.Array = total / weight
    return mean


def _moved(cell: jax.Array, delta: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cell and delta of positions moved by `offset`."""
    moved, delta = located(delta + 0.5 + offset, xp=jnp)
    return cell + moved, delta


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
