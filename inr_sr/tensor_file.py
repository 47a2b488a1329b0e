"""Tensors read from weights files of other libraries: safetensors, both formats of torch.save.

It needs no torch, and runs no code from a file. torch.save writes a pickle that describes the
tensors, and their numbers apart from it: as members of a zip archive, or, before torch 1.6, one
after the other behind the pickle. A pickle may call any function of any library. Here it may only
call what a state dict needs, and those names are mapped to functions of this module.
"""

import dataclasses
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, ClassVar

import numpy as np
from safetensors import SafetensorError, safe_open

from inr_sr.errors import InputError

ZIP = b"PK\x03\x04"
LEGACY_NUMBER, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
LEGACY = pickle.dumps(LEGACY_NUMBER, protocol=2)  # how such a file begins
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
FLOATING = ("F16", "F32", "F64")  # of safetensors


class Refused(Exception):
    """A file that contradicts itself, or calls what no state dict needs."""


@dataclasses.dataclass(frozen=True)
class _Storage:
    """`count` numbers in a file under a key; the storage begins at element `first` of them."""

    key: str
    dtype: np.dtype
    count: int
    first: int = 0


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A strided view of a storage; offset and stride count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __setstate__(self, state: object) -> None:
        """Ignores whether the parameter is trained."""

    def view(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor in float32, cut out of the numbers of its storage."""
        first = self.storage.first + self.offset
        steps = [(size - 1) * step for size, step in zip(self.shape, self.stride, strict=True)]
        if min((first, *self.stride)) < 0 or first + sum(steps) >= len(numbers):
            raise Refused(f"a tensor of {list(self.shape)} does not lie in its storage")
        strides = [step * numbers.itemsize for step in self.stride]
        found = np.lib.stride_tricks.as_strided(numbers[first:], self.shape, strides)
        return np.array(found, np.float32, order="C")


class _Parameter:
    """torch.nn.Parameter(tensor, requires_grad); constructing one returns the tensor."""

    def __new__(cls, tensor: Any, *_: object) -> Any:
        return tensor


def _tensor(
    storage: _Storage, offset: int, shape: Sequence[int], stride: Sequence[int], *_: object
) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise Refused("a tensor has no storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


class _Unpickler(pickle.Unpickler):
    """Loads what a state dict is made of, and refuses everything else."""

    allowed: ClassVar[Mapping[str, Any]] = {
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _Parameter,
        "torch.nn.parameter.Parameter": _Parameter,  # in old files
        **{f"torch.{name}": dtype for name, dtype in STORAGES.items()},
    }

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self.allowed:
            raise Refused(f"it asks for {full}, which no state dict needs")
        return self.allowed[full]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or dtype not in STORAGES.values():
            raise Refused(f"it asks for {kind} {dtype}")
        new = _Storage(str(key), np.dtype(dtype), int(count))
        storage = self.storages.setdefault(new.key, new)
        if view and view[0] is not None:  # a part of the storage, in old files
            return dataclasses.replace(storage, first=int(view[0][1]))
        return storage


Shapes = Mapping[str, tuple[int, ...]]
Read = Callable[[_Storage], np.ndarray]
Open = Callable[[BinaryIO], tuple[Any, Read]]
"""Content as the pickle has it, whatever that is, and a function that reads a storage."""


def _open_zip(file: BinaryIO) -> tuple[Any, Read]:
    """The state dict of a zip archive, and a function that reads one of its storages."""
    archive = zipfile.ZipFile(file)
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Refused("it is a zip archive that torch.save did not write")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise Refused("its numbers are big-endian")
    with archive.open(pickles[0]) as stream:
        content = _Unpickler(stream).load()

    def read(storage: _Storage) -> np.ndarray:
        member = archive.getinfo(f"{root}data/{storage.key}")
        if member.file_size != storage.count * storage.dtype.itemsize:
            raise Refused(f"storage {storage.key} is not as long as it says")
        return np.frombuffer(archive.read(member), storage.dtype)

    return content, read


def _open_legacy(file: BinaryIO) -> tuple[Any, Read]:
    """The state dict of a file before torch 1.6, and a function that reads one of its storages."""
    number, version, system = (_Unpickler(file).load() for _ in range(3))
    if (number, version) != (LEGACY_NUMBER, LEGACY_VERSION) or not system["little_endian"]:
        raise Refused("it is of another version of torch.save, or its numbers are big-endian")
    unpickler = _Unpickler(file)
    content, keys = unpickler.load(), _Unpickler(file).load()
    places, at = {}, file.tell()
    for key in map(str, keys):  # each is its count, then as many numbers
        places[key] = at
        at += 8 + unpickler.storages[key].count * unpickler.storages[key].dtype.itemsize
    if at > os.fstat(file.fileno()).st_size:
        raise Refused("it is cut short")

    def read(storage: _Storage) -> np.ndarray:
        file.seek(places[storage.key])
        if struct.unpack("<q", file.read(8)) != (storage.count,):
            raise Refused(f"storage {storage.key} is not as long as it says")
        return np.fromfile(file, storage.dtype, storage.count)

    return content, read


Description = tuple[tuple[int, ...], bool]  # shape, whether it holds floating numbers


def _check(
    there: Mapping[Any, Any], shapes: Shapes, describe: Callable[[Any], Description]
) -> None:
    """Raises Refused unless a file has the tensors of `shapes`; reads none of their numbers."""
    for name, shape in shapes.items():
        if name not in there:
            some = ", ".join(map(str, list(there)[:3])) or "nothing"
            raise Refused(f"it has no tensor {name}; it has {some} and so on")
        found, floating = describe(there[name])
        if found != tuple(shape):
            raise Refused(f"its {name} is {list(found)}, not {list(shape)}")
        if not floating:
            raise Refused(
                f"its {name} holds no floating numbers of 16, 32 or 64 bits as IEEE has them"
            )


def _describe(value: Any) -> Description:
    if not isinstance(value, _Tensor):
        raise Refused("it holds something other than tensors under their names")
    return value.shape, value.storage.dtype.kind == "f"


def _read_torch(path: Path, shapes: Shapes, opened: Open) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        content, read = opened(file)
        if not isinstance(content, Mapping):
            raise Refused("it holds no state dict")
        _check(content, shapes, _describe)
        return {name: content[name].view(read(content[name].storage)) for name in shapes}


def _read_safetensors(path: Path, shapes: Shapes) -> dict[str, np.ndarray]:
    with safe_open(os.fspath(path), framework="numpy") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        _check(parts, shapes, lambda x: (tuple(x.get_shape()), x.get_dtype() in FLOATING))
        return {name: np.asarray(file.get_tensor(name), np.float32) for name in shapes}


def read_tensors(path: str | os.PathLike[str], shapes: Shapes) -> dict[str, np.ndarray]:
    """Reads the tensors of a file that `shapes` names, as float32.

    Args:
      path: a state dict as torch.save writes it, in either format, or safetensors.
      shapes: the shape that each of them must have, by its key in the state dict.

    Raises:
      InputError: no such file, another format, damaged, a tensor that is missing, of another shape,
        not floating or not finite, or a pickle that calls other code.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(max(len(ZIP), len(LEGACY)))
        if head.startswith(ZIP):
            found = _read_torch(path, shapes, _open_zip)
        elif head == LEGACY:
            found = _read_torch(path, shapes, _open_legacy)
        else:
            found = _read_safetensors(path, shapes)
    except Refused as error:
        raise InputError(f"{path} is not a usable weights file: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InputError(
            f"{path} is damaged, or not a weights file of torch or safetensors: {error}"
        ) from None
    except Exception as error:  # a damaged pickle or archive fails in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is damaged: {reason}") from error
    for name, tensor in found.items():
        if not np.isfinite(tensor).all():
            raise InputError(f"{path}: {name} holds values that are not finite")
    return found
