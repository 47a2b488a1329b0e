"""Weights files of torch, read without torch; those in golden/vgg16.npz were written by it."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from inr_sr.errors import InputError
from inr_sr.tensor_file import read_tensors
from tests.vgg import GOLDEN, number, old_file, small, vgg

SHAPES = {name: tensor.shape for name, tensor in small().items()}
FIRST = {name: tensor.shape for name, tensor in vgg(1).items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


def golden(name):
    with np.load(GOLDEN) as stored:
        return stored[name].tobytes()


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_files_that_torch_wrote(path, name):
    path.write_bytes(golden(name))
    found = read_tensors(path, SHAPES)
    assert set(found) == set(SHAPES)
    for key, expected in small().items():
        assert found[key].dtype == np.float32
        assert found[key].flags.c_contiguous
        tolerance = 1e-3 if key == "half" else 0
        np.testing.assert_allclose(found[key], expected, rtol=tolerance)


@pytest.mark.parametrize("view", [False, True])
def test_files_of_the_first_versions_of_torch(path, view):
    path.write_bytes(old_file(vgg(1), view))
    found = read_tensors(path, FIRST)
    for key, expected in vgg(1).items():
        np.testing.assert_array_equal(found[key], expected)


def test_safetensors(path):
    save_file({**vgg(1), "count": np.ones(2, np.int64)}, path)
    for key, found in read_tensors(path, FIRST).items():
        np.testing.assert_array_equal(found, vgg(1)[key])
    with pytest.raises(InputError, match="its count holds no floating numbers"):
        read_tensors(path, {"count": (2,)})


def test_only_what_is_asked_for_is_read(path):
    """The numbers of all other tensors are gone."""
    for name in ("zip", "legacy"):
        content = golden(name)
        at = content.index(small()["whole"].tobytes())
        path.write_bytes(content[:at] + bytes(96) + content[at + 96 :])
        np.testing.assert_array_equal(
            read_tensors(path, {"half": (2, 2)})["half"], np.float16(small()["half"])
        )


def test_what_the_file_lacks_is_named(path):
    for content in (golden("zip"), golden("legacy")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"no tensor none; it has at\.weight, at\.bias"):
            read_tensors(path, {"none": (3,)})
        with pytest.raises(InputError, match=r"its whole is \[2, 3, 4\], not \[2, 3, 5\]"):
            read_tensors(path, {"whole": (2, 3, 5)})
        with pytest.raises(InputError, match=r"its at\.num_batches_tracked holds no floating"):
            read_tensors(path, {"at.num_batches_tracked": ()})
    path.write_bytes(old_file({"a": np.full(3, np.nan, np.float32)}))
    with pytest.raises(InputError, match="a holds values that are not finite"):
        read_tensors(path, {"a": (3,)})
    with pytest.raises(InputError, match="No such file or directory"):
        read_tensors(path / "none" if path.is_dir() else path.with_name("none"), {})


def test_damaged_files_are_one_line(path):
    for content in (golden("zip"), golden("legacy"), old_file(vgg(1)), b"", b"{}" * 50):
        for length in (*range(0, len(content) - 1, 1 + len(content) // 150), len(content) - 1):
            path.write_bytes(content[:length])
            with pytest.raises(InputError) as caught:
                read_tensors(path, SHAPES)
            assert "\n" not in str(caught.value)
    chance = np.random.default_rng(0)
    for content in (golden("zip"), golden("legacy")):
        for _ in range(150):  # it is read, or refused; nothing else happens
            changed = bytearray(content)
            changed[chance.integers(len(changed))] ^= 1 << int(chance.integers(8))
            path.write_bytes(changed)
            try:
                found = read_tensors(path, SHAPES)
            except InputError:
                continue
            assert {name: x.shape for name, x in found.items()} == SHAPES


class Harmful:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def archive(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", content)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["zip", "legacy", "magic number"])
def test_code_in_a_file_does_not_run(path, form):
    for function, arguments in (
        (os.system, (f"touch {path}.ran",)),
        (eval, (f"open({str(path) + '.ran'!r}, 'w')",)),
        (getattr, (np.ndarray, "tofile")),
    ):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            harmful = pickle.dumps({"whole": Harmful(function, *arguments)}, protocol)
            if form == "zip":
                path.write_bytes(archive(harmful))
            else:
                heads = golden("legacy")[: golden("legacy").index(b"}q\x00")]
                heads = heads[: -len(b"\x80\x02")]  # magic number and version
                system = pickle.dumps({"little_endian": True}, 2) if form == "legacy" else b""
                path.write_bytes(heads + system + harmful)
            with pytest.raises(InputError, match=r"asks for \S+, which no state dict needs"):
                read_tensors(path, SHAPES)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_tensors_do_not_reach_beyond_their_storage(path):
    content = old_file(vgg(1))
    path.write_bytes(content.replace(number(1728) + b"NtQ", number(1727) + b"NtQ"))
    with pytest.raises(InputError, match=r"storage sfeatures\.0\.weight is not as long as it says"):
        read_tensors(path, FIRST)
    path.write_bytes(content.replace(b"tQK\x00(", b"tQK\x01("))
    with pytest.raises(InputError, match=r"a tensor of \[64, 3, 3, 3\] does not lie in its stor"):
        read_tensors(path, FIRST)
    path.write_bytes(content.replace(b"tQK\x00(", b"tQJ\xff\xff\xff\xff("))
    with pytest.raises(InputError, match="does not lie in its storage"):
        read_tensors(path, FIRST)
