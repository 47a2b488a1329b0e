"""Where images come from: a folder, the package, a TFDS data set, or arrays in memory.

A source is a sequence of images in 8-bit RGB, read whole or by windows. Alpha is composited on
white, 16 bits are rounded, grey is repeated. An unreadable image is an error that names it, never
a gap.
"""

from __future__ import annotations

import hashlib
import logging
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from inr_sr import imagefile
from inr_sr.errors import InputError

EMBEDDED, TFDS = "embedded", "tfds:"
EMBEDDED_SPLITS = ("train", "test")


class Source(ABC):
    """A sequence of images that can be read whole or by windows; safe to use from several threads.

    An image has one or more levels: level 0 in full resolution, further ones smaller, as in a
    pyramid. A source implements `_size` and `_read`, and `levels` where there are several; a source
    that can only decode whole images is an `ImageSource`.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """Name of the image in messages and reports."""

    @abstractmethod
    def _size(self, index: int, level: int) -> tuple[int, int]:
        """(rows, cols) of a level there is."""

    @abstractmethod
    def _read(self, index: int, rows: slice, cols: slice, level: int) -> np.ndarray:
        """uint8 [h, w, 3]: a window inside a level there is; `rows` and `cols` have no step."""

    def levels(self, index: int) -> int:
        """How many levels the image has."""
        return 1

    def __getitem__(self, index: int) -> np.ndarray:
        """The whole image in full resolution, uint8 [h, w, 3]."""
        return self.read(index, slice(None), slice(None))

    def size(self, index: int, level: int = 0) -> tuple[int, int]:
        """(rows, cols) of a level, without decoding wherever that is possible.

        Raises:
          InputError: there is no such level, or the image cannot be read.
        """
        count = self.levels(index)
        if not 0 <= level < count:
            allowed = "0" if count == 1 else f"0 to {count - 1}"
            raise InputError(f"{self.name(index)} has no level {level}; allowed: {allowed}")
        return self._size(index, level)

    def read(self, index: int, rows: slice, cols: slice, level: int = 0) -> np.ndarray:
        """A window of an image.

        Args:
          index: of the image.
          rows, cols: pixels of the level, `slice(start, stop)`; None is the edge of the image.
          level: 0 is full resolution.

        Returns:
          uint8 [rows.stop - rows.start, cols.stop - cols.start, 3].

        Raises:
          InputError: no such level, an empty window or one that reaches over the edge of the level,
            or the image cannot be read.
        """
        size = self.size(index, level)
        window_rows, window_cols = _window(rows, size[0]), _window(cols, size[1])
        if window_rows is None or window_cols is None:
            raise InputError(
                f"rows {_text(rows)} and columns {_text(cols)} are no window of "
                f"{self.name(index)}, {size[0]} rows and {size[1]} columns at level {level}"
            )
        return self._read(index, window_rows, window_cols, level)


class ImageSource(Source):
    """A source of whole images: a window is cut from the decoded image. There is one level."""

    @abstractmethod
    def __getitem__(self, index: int) -> np.ndarray:
        """The decoded image, uint8 [h, w, 3]."""

    def _read(self, index: int, rows: slice, cols: slice, level: int) -> np.ndarray:
        return self[index][rows, cols].copy()  # a view would keep the whole image in memory


class FolderSource(ImageSource):
    """The images below a folder at any depth, in the order of their paths.

    Raises:
      InputError: no such folder or no image in it; on access, an unreadable image.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._paths = imagefile.find_images(folder, recursive=True)
        self._sizes: dict[int, tuple[int, int]] = {}  # a set's headers are read once

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return imagefile.to_rgb8(imagefile.read(self._paths[index]))

    def _size(self, index: int, level: int) -> tuple[int, int]:
        if index not in self._sizes:
            self._sizes[index] = imagefile.read_size(self._paths[index])
        return self._sizes[index]

    def name(self, index: int) -> str:
        """Path below the folder; bytes that are no UTF-8 are written as escapes."""
        path = self._paths[index].relative_to(self._folder).as_posix()
        return os.fsencode(path).decode("utf-8", "backslashreplace")


class EmbeddedSource(FolderSource):
    """The images of the package: "train" of the quickstart, or "test", never trained on.

    Raises:
      InputError: unknown split.
    """

    def __init__(self, split: str = "train") -> None:
        if split not in EMBEDDED_SPLITS:
            allowed = " and ".join(EMBEDDED_SPLITS)
            raise InputError(f"the embedded images have no split {split!r}; allowed: {allowed}")
        super().__init__(Path(str(resources.files("inr_sr") / "images" / split)))


class ArraySource(ImageSource):
    """Images in memory.

    Args:
      images: uint8 [h, w, 3] each.

    Raises:
      InputError: none, or one of another type or shape.
    """

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        if len(images) == 0:
            raise InputError("no images; at least one is needed")
        for index, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise InputError(
                    f"image {index} is {image.dtype} {image.shape}; uint8 [h, w, 3] is needed"
                )
        self._images = list(images)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images[index]

    def _size(self, index: int, level: int) -> tuple[int, int]:
        rows, cols, _ = self._images[index].shape
        return rows, cols

    def name(self, index: int) -> str:
        return str(index)


class TfdsSource(ImageSource):
    """A split of a prepared TFDS data set, read without TensorFlow.

    The images are feature "hr" if the data set has it (DIV2K), otherwise "image" (CIFAR-10).

    Args:
      name: as TFDS has it, such as "div2k/bicubic_x4" or "cifar10".
      split: such as "train" or "train[:80%]".
      data_dir: where data sets are prepared; None is TFDS's own default, the environment
        variable TFDS_DATA_DIR or ~/tensorflow_datasets.

    Raises:
      InputError: unknown data set or split, not prepared, no such feature.
    """

    def __init__(
        self, name: str, split: str = "train", data_dir: str | os.PathLike[str] | None = None
    ) -> None:
        import tensorflow_datasets as tfds

        with _quiet_absl():
            builder = _builder(tfds, name, data_dir)
            key = _image_key(tfds, name, builder.info.features)
            # Images come as encoded bytes, and are decoded as those of a folder are.
            skip = {
                feature: tfds.decode.SkipDecoding()
                for feature, kind in builder.info.features.items()
                if isinstance(kind, tfds.features.Image)
            }
            try:
                self._records = builder.as_data_source(split=split, decoders=skip)
            except ValueError as error:
                known = ", ".join(builder.info.splits)
                raise InputError(
                    f"TFDS data set {name!r} has no split {split!r}; allowed: {known}, and parts "
                    "such as train[:80%]"
                ) from error
        if len(self._records) == 0:
            raise InputError(f"split {split!r} of TFDS data set {name!r} is empty")
        self._key = key
        self._static_size = builder.info.features[key].shape[:2]
        self._label = f"{name}/{split}"
        self._sizes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def _data(self, index: int) -> bytes:
        # Without this, array_record reads from the end, and past it returns what is there.
        if not 0 <= index < len(self):
            raise IndexError(index)
        data: bytes = self._records[index][self._key]
        return data

    def __getitem__(self, index: int) -> np.ndarray:
        return imagefile.to_rgb8(imagefile.read(self.name(index), data=self._data(index)))

    def _size(self, index: int, level: int) -> tuple[int, int]:
        """From the description of the data set if all have one size, otherwise from the header."""
        rows, cols = self._static_size
        if rows is not None and cols is not None:
            return rows, cols
        if index not in self._sizes:
            self._sizes[index] = imagefile.read_size(self.name(index), data=self._data(index))
        return self._sizes[index]

    def name(self, index: int) -> str:
        return f"{self._label}/{index}"


def open_source(spec: str, split: str = "train") -> Source:
    """The source a configuration or command line names.

    Args:
      spec: "embedded", "tfds:NAME", or the path of a folder.
      split: of the first two; a folder has none.

    Raises:
      InputError: as the source named.
    """
    if not spec:
        raise InputError("no images are named; give embedded, tfds:NAME or a folder")
    if spec == EMBEDDED:
        return EmbeddedSource(split)
    if spec.startswith(TFDS):
        return TfdsSource(spec.removeprefix(TFDS), split)
    return FolderSource(spec)


def source_name(spec: str) -> str:
    """Name of a source in tables and JSON: "embedded", the TFDS name, or the name of the folder."""
    return Path(spec).resolve().name if is_folder(spec) else spec.removeprefix(TFDS)


def is_folder(spec: str) -> bool:
    """Whether `open_source` opens this as a folder."""
    return spec != EMBEDDED and not spec.startswith(TFDS)


def fingerprint(source: Source) -> str:
    """SHA-256 of the names and sizes of a source's images, in order."""
    digest = hashlib.sha256()
    for index in range(len(source)):
        digest.update(f"{source.name(index)} {source.size(index)}\n".encode())
    return digest.hexdigest()


def _window(pixels: slice, size: int) -> slice | None:
    """`pixels` with both ends; None if it has a step, is empty or reaches beyond `size` pixels."""
    start = 0 if pixels.start is None else operator.index(pixels.start)
    stop = size if pixels.stop is None else operator.index(pixels.stop)
    inside = pixels.step in (None, 1) and 0 <= start < stop <= size
    return slice(start, stop) if inside else None


def _text(pixels: slice) -> str:
    ends = (pixels.start, pixels.stop, pixels.step)
    return ":".join("" if end is None else str(end) for end in ends).removesuffix(":")


@contextmanager
def _quiet_absl() -> Iterator[None]:
    """Silences the warnings of TFDS: their causes are errors here."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _builder(tfds: ModuleType, name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    """The prepared data set of a name."""
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    # DatasetNotFoundError is a ValueError, and lists hundreds of names; an unknown version asserts.
    except (ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"TFDS cannot open {name!r}: {reason}") from error
    formats = builder.info.available_file_formats() if builder.is_prepared() else ()
    if "array_record" not in [format.value for format in formats]:
        found = f"there as {next(iter(formats)).value}" if formats else "not there"
        where = "" if data_dir is None else f", data_dir={os.fspath(data_dir)!r}"
        raise InputError(
            f"TFDS data set {name!r} is needed as array_record in {os.fspath(builder.data_dir)} "
            f"and is {found}; prepare it once, with TensorFlow installed: tfds.builder({name!r}"
            f"{where}, file_format='array_record').download_and_prepare()"
        )
    return builder


def _image_key(tfds: ModuleType, name: str, features: Mapping[str, Any]) -> str:
    images = {key: kind for key, kind in features.items() if isinstance(kind, tfds.features.Image)}
    for key in ("hr", "image"):
        if key in images:
            if np.dtype(images[key].np_dtype) not in (np.uint8, np.uint16):
                raise InputError(
                    f"feature {key!r} of TFDS data set {name!r} is {images[key].np_dtype}; uint8 "
                    "and uint16 are allowed"
                )
            return key
    found = ", ".join(sorted(images)) or "none"
    raise InputError(
        f"TFDS data set {name!r} has no image feature 'hr' or 'image'; its image features: {found}"
    )
