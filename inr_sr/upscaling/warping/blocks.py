"""The colours of a warped picture, block by block of the output.

Every tile of LR cells is encoded once at most: output pixels are sorted by the tile that their cell
lies in, block by block, tiles are then encoded one after the other, and each is asked by the blocks
that it had. Tiles that no pixel needs, because none sees them or the map minifies them beyond what
the network adds to, are not encoded at all. One tile for each device, one block and a pyramid that
grows with no more than the picture are held at a time.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from inr_sr import render
from inr_sr.models.field import Field
from inr_sr.sizes import Size
from inr_sr.upscaling.tiles import Span, Tile
from inr_sr.upscaling.warping.anisotropic import (
    RESIDUAL_REACH,
    Ellipses,
    blend,
    ellipses,
    probes,
    residual,
)
from inr_sr.upscaling.warping.homography import Homography, Places
from inr_sr.upscaling.warping.pyramid import Pyramid, chunk

BLOCK = 64
"""Side of blocks of output pixels. Larger ones leave the processor's caches."""

_points = jax.jit(render.points)

Encode = Callable[[Iterable[Tile]], Iterator[Field]]


class Part(NamedTuple):
    """Some output pixels.

    Attributes:
      rows, cols: the block they lie in.
      mask: bool [rows, cols], which of its pixels they are.
      colours: float32 [n, c or 3], clipped to [0, 1].
    """

    rows: slice
    cols: slice
    mask: np.ndarray
    colours: np.ndarray


def by_interpolation(image: np.ndarray, homography: Homography, out_size: Size) -> Iterator[Part]:
    """The parts of a result without a network: bicubic, antialiased."""
    pyramid = Pyramid(image)
    for rows, cols in _blocks(out_size):
        inside, places = homography.places(rows, cols)
        if inside.any():
            values = pyramid.colours(places, ellipses(places.jacobian))
            yield Part(rows, cols, inside, np.clip(values, 0, 1, out=values))


def by_network(
    image: np.ndarray, homography: Homography, out_size: Size, tile: Size, encode: Encode
) -> Iterator[Part]:
    """The parts of a result; those that the network adds nothing to come first.

    Args:
      image: [h, w, c], c = 1 or 3, floating in [0, 1], uint8 or uint16.
      homography: from the picture to the result.
      out_size: (rows, cols) of the result.
      tile: (rows, cols) of LR cells that are rendered from one tile.
      encode: makes the Fields of tiles.
    """
    pyramid = Pyramid(image)
    blocks_of: dict[Size, list[tuple[slice, slice]]] = defaultdict(list)
    margin = 0  # cells around a tile, for probes
    for block in _blocks(out_size):
        inside, places = homography.places(*block)
        shapes = ellipses(places.jacobian)
        near = shapes.level < 1
        if not near.all():
            values = pyramid.colours(places.of(~near), shapes.of(~near))
            yield Part(*block, _within(inside, ~near), np.clip(values, 0, 1, out=values))
        if shapes.minified[near].any():
            margin = RESIDUAL_REACH
        for which in set(map(tuple, (places.cell[near] // tile).tolist())):
            blocks_of[which].append(block)
    size = (tile[0] + 2 * margin, tile[1] + 2 * margin)
    origins = [(row * tile[0] - margin, col * tile[1] - margin) for row, col in blocks_of]
    fields = encode(_tile(image.shape, origin, size) for origin in origins)
    for (which, blocks), origin, field in zip(blocks_of.items(), origins, fields, strict=True):
        for block in blocks:
            inside, places = homography.places(*block)
            shapes = ellipses(places.jacobian)
            here = (shapes.level < 1) & np.all(places.cell // tile == which, axis=1)
            values = _colours(pyramid, field, origin, places.of(here), shapes.of(here))
            yield Part(*block, _within(inside, here), np.clip(values, 0, 1))


def _blocks(size: Size) -> Iterator[tuple[slice, slice]]:
    for row, col in itertools.product(range(0, size[0], BLOCK), range(0, size[1], BLOCK)):
        yield slice(row, min(row + BLOCK, size[0])), slice(col, min(col + BLOCK, size[1]))


def _within(inside: np.ndarray, some: np.ndarray) -> np.ndarray:
    """A mask like `inside` of some of the pixels that are."""
    mask = np.zeros_like(inside)
    mask[inside] = some
    return mask


def _tile(shape: tuple[int, ...], origin: Size, size: Size) -> Tile:
    """The cells from `origin` on, which may lie beyond the picture."""
    rows, cols = (Span(n, n, n, first, count) for n, first, count in zip(shape, origin, size))
    return Tile(rows, cols)


def _colours(
    pyramid: Pyramid, field: Field, origin: Size, places: Places, shapes: Ellipses
) -> np.ndarray:
    """Colours [n, 3] of places in a tile, not clipped."""
    n = len(shapes.level)
    cell = chunk(places.cell - np.array(origin, np.int32))
    delta = chunk(places.delta.astype(np.float32))
    footprint = chunk(shapes.probe_footprint)
    if not shapes.minified.any():
        return np.asarray(_points(field, cell[None], delta[None], footprint[None]))[0, :n]
    spread = shapes.spread(0).astype(np.float32)[:, 0]
    step = shapes.axes[:, 0].astype(np.float32)
    reach = probes(spread[:, None])[0]
    added = residual(field.function, cell, delta, footprint, chunk(step), chunk(spread), reach)
    _, gone = blend(shapes.level)
    return pyramid.colours(places, shapes) + (1 - gone[:, None]) * np.asarray(added)[:n]
