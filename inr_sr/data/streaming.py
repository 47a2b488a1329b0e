"""Random crops of a source that is larger than memory, decoded by threads ahead of their use."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from inr_sr.coordinates import mirrored
from inr_sr.data.resident import position_counts
from inr_sr.data.sources import ImageSource, Source
from inr_sr.errors import InputError

AHEAD = 4  # batches


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

    The crops have the distribution of resident mode: every crop position of the set is as likely as
    any other, so an image is drawn in proportion to the positions it holds. Images too small for a
    crop are left out. Batch t is a function of (source, seed, t) alone: neither threads nor
    the cache change it, and resuming is starting at a step. There are no epochs: crops are drawn
    independently, as in resident mode.

    A source that reads windows by itself is asked for the window of each crop. An `ImageSource`
    decodes the whole image for each crop whose image is not in the cache: cut large images into
    pieces of some 500 pixels beforehand.

    Args:
      source: the images.
      batch_size: crops in a batch.
      crop: side of a crop, pixels.
      border: how far a crop may reach over the edge of its image, which is mirrored there (the
        pixels at the edge included). An image must have crop - 2 * border pixels a side.
      seed: any integer.
      start_step: step of the first batch.
      threads: that decode, AHEAD batches before their use; 0 is one for each core.
      cache_bytes: of decoded images that are kept, those used last.

    Yields:
      uint8 [batch_size, crop, crop, 3].

    Raises:
      InputError: no image is large enough, one cannot be read, or a negative number of threads
        or bytes.
    """
    import grain

    if threads < 0 or cache_bytes < 0:
        raise InputError(
            f"data.threads {threads} and data.cache_mib {cache_bytes / 2**20:g} must be at least 0"
        )
    crops = _Crops(source, crop, border, seed, start_step * batch_size, cache_bytes)
    threads = threads or os.cpu_count() or 1
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(threads, AHEAD * batch_size)
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
    """The endless sequence of crops, by index."""

    def __init__(
        self, source: Source, crop: int, border: int, seed: int, start: int, cache_bytes: int
    ) -> None:
        self._images = _Cached(source, cache_bytes)
        self._crop, self._border = crop, border
        self._seed, self._start = seed % 2**64, start
        self._sizes = [source.size(i) for i in range(len(source))]
        self._positions = position_counts(self._sizes, crop - 2 * border)
        self._ends = np.cumsum(self._positions.prod(axis=1))

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> np.ndarray:
        # A counter-based generator: any place of the sequence is reached without those before it.
        key = np.array([self._seed, self._start + index], np.uint64)
        drawn = np.random.Generator(np.random.Philox(key=key)).integers(self._ends[-1])
        which = int(np.searchsorted(self._ends, drawn, side="right"))
        rows, cols = self._positions[which]
        corner = divmod(int(drawn - self._ends[which] + rows * cols), int(cols))
        rows, cols = (
            _Places.of(start - self._border, self._crop, int(size))
            for start, size in zip(corner, self._sizes[which], strict=True)
        )
        window = self._images.read(which, rows.window, cols.window)
        return window[rows.within][:, cols.within]


@dataclass(frozen=True)
class _Places:
    """Pixels of one axis of a crop: the window that holds all of them, and where they lie in it."""

    window: slice
    within: slice | np.ndarray

    @classmethod
    def of(cls, start: int, length: int, size: int) -> _Places:
        """Pixels start .. start + length - 1 of an axis of `size` that is mirrored at its edges."""
        if start >= 0 and start + length <= size:
            # Ten times as fast as indices, and the usual case.
            return cls(slice(start, start + length), slice(None))
        places = mirrored(np.arange(start, start + length), size)
        first = int(places.min())
        return cls(slice(first, int(places.max()) + 1), places - first)


class _Cached:
    """Windows of a source's images.

    Images that a source only decodes whole are kept, those used last, up to a number of bytes.
    Where a source reads windows by itself nothing is kept.
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
