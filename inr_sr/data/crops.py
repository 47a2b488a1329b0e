"""Crops of images: from a set in device memory, or from a stream decoded as crops are needed.

Both have one distribution: every crop position of the set is as likely as any other. Images too
small for a crop are left out.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import mirrored
from inr_sr.data.sources import ImageSource, Source
from inr_sr.errors import InputError

MAX_PIXELS = 2**31 - 1  # pixels are addressed by int32
PREFETCHED = 4  # batches decoded ahead


@flax.struct.dataclass
class ResidentSet:
    """All images in one buffer.

    Attributes:
      pixels: uint8 [N, 3], image after image, row by row.
      offset: int32 [P] first pixel of each image.
      shape: int32 [P, 2] rows and columns.
      cumulative: float32 [P] share of crop positions in this image and those before it.
      border: pixels that a crop may extend over an image's edge, where it is mirrored.
      crop: side of a crop.
    """

    pixels: jax.Array | np.ndarray
    offset: jax.Array | np.ndarray
    shape: jax.Array | np.ndarray
    cumulative: jax.Array | np.ndarray
    border: int = flax.struct.field(pytree_node=False)
    crop: int = flax.struct.field(pytree_node=False)

    @classmethod
    def from_images(cls, images: Iterable[np.ndarray], *, crop: int, border: int) -> ResidentSet:
        """Packs uint8 [h, w, 3] images, without those too small for a crop.

        Raises:
          InputError: no image is large enough, or there are more than MAX_PIXELS in all.
        """
        smallest = crop - 2 * border
        kept, sizes = [], []
        for image in images:
            sizes.append(image.shape[:2])
            if min(image.shape[:2]) >= smallest:
                kept.append(image)
        positions = position_counts(sizes, smallest).prod(axis=1)
        positions = positions[positions > 0]
        shape = np.array([p.shape[:2] for p in kept], np.int64)
        count = shape.prod(axis=1)
        if count.sum() > MAX_PIXELS:
            raise InputError(
                f"{count.sum()} pixels are too many to hold at once (at most {MAX_PIXELS}); "
                "set data.mode = streaming"
            )
        return cls(
            pixels=np.concatenate([p.reshape(-1, 3) for p in kept]),
            offset=(np.cumsum(count) - count).astype(np.int32),
            shape=shape.astype(np.int32),
            cumulative=(np.cumsum(positions) / positions.sum()).astype(np.float32),
            border=border,
            crop=crop,
        )

    def draw(self, keys: jax.Array) -> jax.Array:
        """Random crops, uint8 [B, crop, crop, 3]; without its border a crop lies inside its image.

        Args:
          keys: [B] random keys, one per crop.
        """
        return jax.vmap(self._draw)(keys)

    def _draw(self, key: jax.Array) -> jax.Array:
        k_image, k_corner = jax.random.split(key)
        u = jax.random.uniform(k_image)
        i = jnp.minimum(jnp.searchsorted(self.cumulative, u, side="right"), len(self.offset) - 1)
        shape = self.shape[i]
        room = (shape - (self.crop - 2 * self.border) + 1).astype(jnp.float32)
        corner = jnp.minimum(jnp.floor(jax.random.uniform(k_corner, (2,)) * room), room - 1)
        steps = jnp.arange(self.crop, dtype=jnp.int32)[None, :]
        at = corner.astype(jnp.int32)[:, None] - self.border + steps  # [2, crop]
        at = mirrored(at, shape[:, None], jnp)
        index = self.offset[i] + at[0][:, None] * shape[1] + at[1][None, :]
        return self.pixels[index]


def position_counts(sizes: Sequence[tuple[int, int]], side: int) -> np.ndarray:
    """Numbers of positions of a square crop in each image, down and across; 0 if it does not fit.

    Args:
      sizes: (rows, cols) of each image.
      side: of the crop, pixels.

    Returns:
      int64 [P, 2].

    Raises:
      InputError: no image, or none that is large enough.
    """
    if not sizes:
        raise InputError("there are no images to cut crops from")
    shape = np.array(sizes, np.int64)
    largest = shape[shape.min(axis=1).argmax()]
    if largest.min() < side:
        raise InputError(
            f"every image is smaller than a crop of {side}x{side} pixels (the "
            f"largest is {largest[0]}x{largest[1]}); lower data.patch or data.max_scale"
        )
    return np.maximum(shape - side + 1, 0)


def stream_crops(
    source: Source,
    *,
    batch_size: int,
    crop: int,
    border: int = 0,
    seed: int,
    start_step: int = 0,
    threads: int = 0,
    cache_bytes: int = 2**30,
) -> Generator[np.ndarray]:
    """An endless sequence of batches of random crops.

    There are no epochs: crops are independent. Batch t is a function of (source, seed, t) alone,
    not of threads or cache, so a run resumes bit-identically.

    A source that reads windows reads the window of each crop. An `ImageSource` decodes the whole
    image for each crop whose image is not in the cache: cut large images into pieces of some 500
    pixels beforehand.

    Args:
      source: the images.
      batch_size: crops in a batch.
      crop: side of a crop, pixels.
      border: pixels that a crop may extend over the edge of its image, which is mirrored there
        (edge pixels repeated). An image needs crop - 2 * border pixels a side.
      seed: any integer.
      start_step: step of the first batch.
      threads: number of decoding threads, which prefetch PREFETCHED batches; 0: one per core.
      cache_bytes: maximum size of decoded images in the cache, the most recently used.

    Yields:
      uint8 [batch_size, crop, crop, 3].

    Raises:
      InputError: no image is large enough, one cannot be read, or threads or cache_bytes are
        negative.
    """
    import grain

    if threads < 0 or cache_bytes < 0:
        raise InputError(
            f"data.threads {threads} and data.cache_mib {cache_bytes / 2**20:g} must be at least 0"
        )
    crops = _Crops(source, crop, border, seed, start_step * batch_size, cache_bytes)
    threads = threads or os.cpu_count() or 1
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(threads, PREFETCHED * batch_size)
    )
    dataset = grain.MapDataset.source(crops).to_iter_dataset(options).batch(batch_size)

    def batches() -> Generator[np.ndarray]:
        iterator = iter(dataset)
        try:
            yield from iterator
        finally:
            iterator.close()

    return batches()


class _Crops:
    """The endless sequence of crops, with random access by index."""

    def __init__(
        self, source: Source, crop: int, border: int, seed: int, start: int, cache_bytes: int
    ) -> None:
        self._images = _CachedImages(source, cache_bytes)
        self._crop, self._border = crop, border
        self._seed, self._start = seed % 2**64, start
        self._sizes = [source.size(i) for i in range(len(source))]
        self._positions = position_counts(self._sizes, crop - 2 * border)
        self._ends = np.cumsum(self._positions.prod(axis=1))

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> np.ndarray:
        # A counter-based generator: crop `index` needs none of the crops before it.
        key = np.array([self._seed, self._start + index], np.uint64)
        position = np.random.Generator(np.random.Philox(key=key)).integers(self._ends[-1])
        which = int(np.searchsorted(self._ends, position, side="right"))
        rows, cols = self._positions[which]
        corner = divmod(int(position - self._ends[which] + rows * cols), int(cols))
        rows, cols = (
            _AxisPixels.of(start - self._border, self._crop, int(size))
            for start, size in zip(corner, self._sizes[which], strict=True)
        )
        window = self._images.read(which, rows.window, cols.window)
        return window[rows.within][:, cols.within]


@dataclass(frozen=True)
class _AxisPixels:
    """A crop's pixels along one axis: the window that contains them, and their indices in it."""

    window: slice
    within: slice | np.ndarray

    @classmethod
    def of(cls, start: int, length: int, size: int) -> _AxisPixels:
        """Pixels start .. start + length - 1 of an axis of `size` pixels, mirrored at its edges."""
        if start >= 0 and start + length <= size:
            # The usual case; ten times as fast as indices.
            return cls(slice(start, start + length), slice(None))
        pixels = mirrored(np.arange(start, start + length), size)
        first = int(pixels.min())
        return cls(slice(first, int(pixels.max()) + 1), pixels - first)


class _CachedImages:
    """Windows of a source's images.

    Caches whole images of an `ImageSource`, the most recently used up to `limit` bytes. Of other
    sources, which read windows, nothing is cached.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source, self._room = source, limit
        self._whole = isinstance(source, ImageSource)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, index: int, rows: slice, cols: slice) -> np.ndarray:
        """uint8 [h, w, 3], a window inside image `index`."""
        if self._whole:
            return self._image(index)[rows, cols]
        return self._source.read(index, rows, cols)

    def _image(self, index: int) -> np.ndarray:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        image = self._source[index]
        with self._lock:
            if index not in self._kept:
                self._kept[index] = image
                self._room -= image.nbytes
            while self._room < 0:
                self._room += self._kept.popitem(last=False)[1].nbytes
        return image
