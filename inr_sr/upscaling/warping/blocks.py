"""The colours of a warped image, block by block of the output.

Each tile of LR cells is encoded at most once: output pixels are first sorted by the tile that their
cell lies in, block by block; then tiles are encoded one after the other, and the field of each is
queried for its blocks. Tiles that no pixel needs, because none sees them or the map minifies them
beyond what the network adds to, are not encoded. One tile for each device, one block, and a pyramid
no larger than the image are held at a time.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from inr_sr.models.field import Field
from inr_sr.sizes import Size
from inr_sr.upscaling.encoded import EncodedImage, query
from inr_sr.upscaling.plan import pad_queries
from inr_sr.upscaling.warping.anisotropic import (
    MAX_PROBE_REACH,
    Ellipses,
    Pyramid,
    averaged,
    blend,
    ellipses,
    probes,
)
from inr_sr.upscaling.warping.homography import Homography, Places

BLOCK = 64
"""Side of blocks of output pixels. Larger ones leave the processor's caches."""


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


def by_network(encoded: EncodedImage, homography: Homography, out_size: Size) -> Iterator[Part]:
    """The parts of a result; those that the network adds nothing to come first.

    Where memory runs out, tiles are halved and all parts are made again.

    Args:
      encoded: the image.
      homography: from the image to the result.
      out_size: (rows, cols) of the result.
    """
    while True:
        try:
            yield from _parts(encoded, homography, out_size)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            encoded.halve_tiles(error)
        else:
            return


def _parts(encoded: EncodedImage, homography: Homography, out_size: Size) -> Iterator[Part]:
    pyramid = Pyramid(encoded.image)
    # One field is held at a time: as if a row of output were nothing.
    rows, cols = (slice(0, n) for n in encoded.shape)
    tiling = encoded.tiling(rows, cols, row_pixels=0, margin=MAX_PROBE_REACH)
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
            margin = MAX_PROBE_REACH
        for number in set(map(tuple, tiling.index(places.cell[near]).tolist())):
            blocks_of[number].append(block)
    tiles = [tiling.numbered(*number, margin) for number in blocks_of]
    fields = encoded.fields(tiles)
    for (number, blocks), tile, field in zip(blocks_of.items(), tiles, fields, strict=True):
        for block in blocks:
            inside, places = homography.places(*block)
            shapes = ellipses(places.jacobian)
            here = (shapes.level < 1) & np.all(tiling.index(places.cell) == number, axis=1)
            values = _colours(pyramid, field, tile.origin, places.of(here), shapes.of(here))
            yield Part(*block, _within(inside, here), np.clip(values, 0, 1))


def _blocks(size: Size) -> Iterator[tuple[slice, slice]]:
    for row, col in itertools.product(range(0, size[0], BLOCK), range(0, size[1], BLOCK)):
        yield slice(row, min(row + BLOCK, size[0])), slice(col, min(col + BLOCK, size[1]))


def _within(inside: np.ndarray, some: np.ndarray) -> np.ndarray:
    """A mask like `inside` of some of the pixels that are."""
    mask = np.zeros_like(inside)
    mask[inside] = some
    return mask


def _colours(
    pyramid: Pyramid, field: Field, origin: Size, places: Places, shapes: Ellipses
) -> np.ndarray:
    """Colours [n, 3] of places in a tile, not clipped."""
    cell, delta = places.cell - np.array(origin, np.int32), places.delta.astype(np.float32)
    if not shapes.minified.any():
        return query(field, (0, 0), cell, delta, shapes.probe_footprint)
    spread = shapes.spread(0).astype(np.float32)[:, 0]
    step = shapes.axes[:, 0].astype(np.float32)
    reach = probes(spread[:, None])[0]
    queries = map(pad_queries, (cell, delta, shapes.probe_footprint, step, spread))
    added = np.asarray(averaged(field.function, *queries, reach))[: len(cell)]
    _, gone = blend(shapes.level)
    colours: np.ndarray = pyramid.colours(places, shapes) + (1 - gone[:, None]) * added
    return colours
