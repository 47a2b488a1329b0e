"""What networks are compared on: crops of held-out photos."""

import functools
import hashlib
import itertools

import numpy as np

from inr_sr.data.sources import ArraySource, fingerprint, open_source, source_name
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import check_sizes
from inr_sr.evaluation.protocols import crop_side, get_protocol
from inr_sr.sizes import Scale

PROTOCOL = get_protocol("y")
_ARRANGEMENTS = ((1, 2), (2, 1), (1, 1))


class Crops(ArraySource):
    """Crops of one size, named after their photos.

    Attributes:
      photos: the photo that each crop is from.
    """

    def __init__(self, crops: list[np.ndarray], photos: list[str]) -> None:
        super().__init__(crops)
        self.photos = photos

    def name(self, index: int) -> str:
        return f"{self.photos[index]} {self.photos[:index].count(self.photos[index])}"


class HeldOut:
    """Held-out photos, and the crops of them that belong to a scale.

    Args:
      spec: see `open_source`; of data sets with splits it is "test".

    Attributes:
      name: what tables call them.
      fingerprint: of their names and sizes.

    Raises:
      InputError: as `open_source`.
    """

    def __init__(self, spec: str) -> None:
        self._source = open_source(spec, "test")
        self.name = source_name(spec)
        self.fingerprint = fingerprint(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def too_small(self, scale: Scale, lr_size: int) -> list[str]:
        """Names of the photos that hold no crop at a scale."""
        side = crop_side(scale, lr_size)
        sizes = ((self._source.name(i), self._source.size(i)) for i in range(len(self)))
        return [name for name, size in sizes if min(size) < side]

    @functools.cache  # noqa: B019 - there is one of these in a program
    def crops(self, scale: Scale, lr_size: int) -> Crops:
        """Up to two crops of the centre of each photo, side by side; small photos are left out.

        Args:
          scale: the same for both axes.
          lr_size: side of a crop in LR pixels.

        Raises:
          InputError: every photo is too small, or a crop is too small to be scored.
        """
        side = crop_side(scale, lr_size)
        crops, photos = [], []
        for index in range(len(self)):
            if min(self._source.size(index)) < side:
                continue
            photo = self._source[index]
            for row, col in arrangement((photo.shape[0], photo.shape[1]), side):
                crops.append(photo[row : row + side, col : col + side])
                photos.append(self._source.name(index))
        if not crops:
            raise InputError(
                f"every picture of {self.name} is smaller than the crops of {side}x{side} pixels "
                f"for scale {scale.label}"
            )
        found = Crops(crops, photos)
        check_sizes(found, [scale], PROTOCOL, 1)
        return found

    def key(self, lr_size: int, version: int) -> str:
        """Short name of what is measured: these photos, crops of this size, this way."""
        text = f"{self.fingerprint} {lr_size} {version}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def arrangement(size: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """(row, col) of the first pixels of up to two crops that touch and lie in the centre.

    Args:
      size: (rows, cols) of the picture, each at least `side`.
      side: of a crop.
    """
    fitting = (n for n in _ARRANGEMENTS if n[0] * side <= size[0] and n[1] * side <= size[1])
    down, across = next(fitting)
    top, left = (size[0] - down * side) // 2, (size[1] - across * side) // 2
    places = itertools.product(range(down), range(across))
    return [(top + row * side, left + col * side) for row, col in places]
