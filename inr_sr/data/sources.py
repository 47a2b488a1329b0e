"""Where pictures come from: a folder, the package, a TFDS data set, or arrays in memory.

A source is a sequence of decoded pictures in 8-bit RGB. Alpha is composited on white, 16 bits are
rounded, grey is repeated. An unreadable picture is an error that names it, never a gap.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from inr_sr import imagefile
from inr_sr.errors import InputError

EMBEDDED, TFDS = "embedded", "tfds:"
EMBEDDED_SPLITS = ("train", "test")


class Source(Protocol):
    """A sequence of pictures; safe to read from several threads."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture uint8 [h, w, 3]."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """(rows, cols), without decoding wherever that is possible."""
        ...

    def name(self, index: int) -> str:
        """What messages and reports call the picture."""
        ...


class FolderSource:
    """The pictures below a folder at any depth, in the order of their paths.

    Raises:
      InputError: no such folder or no picture in it; on access, an unreadable picture.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._paths = imagefile.find_images(folder, recursive=True)
        self._sizes: dict[int, tuple[int, int]] = {}  # a set's headers are read once

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return imagefile.to_rgb8(imagefile.read(self._paths[index]))

    def size(self, index: int) -> tuple[int, int]:
        if index not in self._sizes:
            self._sizes[index] = imagefile.read_size(self._paths[index])
        return self._sizes[index]

    def name(self, index: int) -> str:
        """Path below the folder, its bytes that are no UTF-8 written out."""
        path = self._paths[index].relative_to(self._folder).as_posix()
        return os.fsencode(path).decode("utf-8", "backslashreplace")


class EmbeddedSource(FolderSource):
    """The pictures of the package: "train" of the quickstart, or "test", never trained on.

    Raises:
      InputError: unknown split.
    """

    def __init__(self, split: str = "train") -> None:
        if split not in EMBEDDED_SPLITS:
            allowed = " and ".join(EMBEDDED_SPLITS)
            raise InputError(f"the embedded pictures have no split {split!r}; allowed: {allowed}")
        super().__init__(Path(str(resources.files("inr_sr") / "pictures" / split)))


class ArraySource:
    """Pictures in memory.

    Args:
      pictures: uint8 [h, w, 3] each.

    Raises:
      InputError: none, or one of another type or shape.
    """

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        if len(pictures) == 0:
            raise InputError("no pictures; at least one is needed")
        for index, picture in enumerate(pictures):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise InputError(
                    f"picture {index} is {picture.dtype} {picture.shape}; uint8 [h, w, 3] is needed"
                )
        self._pictures = list(pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._pictures[index]

    def size(self, index: int) -> tuple[int, int]:
        rows, cols, _ = self._pictures[index].shape
        return rows, cols

    def name(self, index: int) -> str:
        return str(index)


class TfdsSource:
    """A split of a prepared TFDS data set, read without TensorFlow.

    The pictures are feature "hr" if the data set has it (DIV2K), otherwise "image" (CIFAR-10).

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
            # Pictures come as encoded bytes, and are decoded as those of a folder are.
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
        return self._records[index][self._key]

    def __getitem__(self, index: int) -> np.ndarray:
        return imagefile.to_rgb8(imagefile.read(self.name(index), data=self._data(index)))

    def size(self, index: int) -> tuple[int, int]:
        """From the data set's description if all pictures are of one size, else from the header."""
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
        raise InputError("no pictures are named; give embedded, tfds:NAME or a folder")
    if spec == EMBEDDED:
        return EmbeddedSource(split)
    if spec.startswith(TFDS):
        return TfdsSource(spec.removeprefix(TFDS), split)
    return FolderSource(spec)


def source_name(spec: str) -> str:
    """What tables and JSON call a source: "embedded", the TFDS name, or the name of the folder."""
    return Path(spec).resolve().name if is_folder(spec) else spec.removeprefix(TFDS)


def is_folder(spec: str) -> bool:
    """Whether `open_source` takes this for the path of a folder."""
    return spec != EMBEDDED and not spec.startswith(TFDS)


def fingerprint(source: Source) -> str:
    """SHA-256 of the names and sizes of a source's pictures, in order: another set, another one."""
    digest = hashlib.sha256()
    for index in range(len(source)):
        digest.update(f"{source.name(index)} {source.size(index)}\n".encode())
    return digest.hexdigest()


@contextmanager
def _quiet_absl() -> Iterator[None]:
    """TFDS logs a warning of what becomes an error here."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _builder(tfds: Any, name: str, data_dir: str | os.PathLike[str] | None) -> Any:
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


def _image_key(tfds: Any, name: str, features: Any) -> str:
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
