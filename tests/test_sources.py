import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inr_sr import imagefile
from inr_sr.data.sources import ArraySource, EmbeddedSource, FolderSource, fingerprint, open_source
from inr_sr.errors import InputError


def picture(seed: int, size: tuple[int, int] = (12, 17)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    pixels = picture(0)
    Image.fromarray(pixels).save(tmp_path / "deep" / "er" / "a.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    deep = imagefile.Picture(pixels.astype(np.uint16) * 257)
    imagefile.write(tmp_path / "sixteen.tif", deep)
    clear = imagefile.Picture(pixels, np.zeros(pixels.shape[:2], np.uint8))
    imagefile.write(tmp_path / "transparent.png", clear)
    (tmp_path / "notes.txt").write_text("no picture")

    source = open_source(str(tmp_path))
    names = ["deep/er/a.png", "grey.png", "sixteen.tif", "transparent.png"]
    assert [source.name(i) for i in range(len(source))] == names
    expected = [pixels, np.repeat(pixels[:, :, :1], 3, axis=2), pixels, np.full_like(pixels, 255)]
    for index, array in enumerate(expected):
        np.testing.assert_array_equal(source[index], array)
        assert source.size(index) == (12, 17)


def test_mistakes_about_folders(tmp_path):
    with pytest.raises(InputError, match="no pictures in"):
        FolderSource(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        FolderSource(tmp_path / "none")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    source = FolderSource(tmp_path)
    for access in (source.__getitem__, source.size):
        with pytest.raises(InputError, match=r"bad\.png is no picture"):
            access(0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_are_written_out(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / os.fsdecode(b"caf\xe9.png"))
    source = FolderSource(tmp_path)
    assert source.name(0) == "caf\\xe9.png"
    assert len(fingerprint(source)) == 64


def test_embedded_pictures():
    train, test = open_source("embedded"), open_source("embedded", "test")
    assert (len(train), len(test)) == (11, 4)
    names = [source.name(i) for source in (train, test) for i in range(len(source))]
    assert len(set(names)) == 15
    licences = (Path(imagefile.__file__).parents[1] / "pictures" / "LICENSES.md").read_text()
    for source, split in ((train, "train"), (test, "test")):
        for index in range(len(source)):
            assert source[index].shape == (*source.size(index), 3)
            assert min(source.size(index)) >= 300
            assert f"| `{split}/{source.name(index)}` |" in licences
    with pytest.raises(InputError, match="no split 'validation'; allowed: train and test"):
        EmbeddedSource("validation")


def test_arrays():
    source = ArraySource([picture(0), picture(1, (5, 6))])
    assert (len(source), source.size(1), source.name(1)) == (2, (5, 6), "1")
    np.testing.assert_array_equal(source[1], picture(1, (5, 6)))
    for wrong in ([], [picture(0)[:, :, 0]], [picture(0).astype(np.float32)]):
        with pytest.raises(InputError, match="needed"):
            ArraySource(wrong)


# In a process of its own: TFDS registers data sets globally, and whether TensorFlow was imported
# is to be seen.
def test_a_fingerprint_is_of_names_and_sizes(tmp_path):
    def folder(name: str, **sizes: tuple[int, int]) -> FolderSource:
        (tmp_path / name).mkdir()
        for stem, size in sizes.items():
            Image.fromarray(picture(0, size)).save(tmp_path / name / f"{stem}.png")
        return FolderSource(tmp_path / name)

    found = fingerprint(folder("one", a=(3, 4), b=(5, 6)))
    assert found == fingerprint(folder("moved", a=(3, 4), b=(5, 6)))
    others = [{"a": (3, 4)}, {"a": (3, 4), "b": (6, 5)}, {"a": (3, 4), "c": (5, 6)}]
    assert found not in [fingerprint(folder(f"other{i}", **o)) for i, o in enumerate(others)]


TFDS = """
    import io
    import sys

    import numpy as np
    import tensorflow_datasets as tfds
    from PIL import Image

    from inr_sr.data.sources import TfdsSource, open_source
    from inr_sr.errors import InputError

    folder = sys.argv[1]
    tfds.disable_progress_bar()

    def png(seed, size):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format="PNG")
        return io.BytesIO(out.getvalue()), pixels

    class Pairs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        keys = ("lr", "hr")
        shape = (None, None, 3)

        def _info(self):
            images = {key: tfds.features.Image(shape=self.shape) for key in self.keys}
            features = tfds.features.FeaturesDict({**images, "label": np.int64})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            return {"train": self._generate_examples(0, 5), "test": self._generate_examples(5, 7)}

        def _generate_examples(self, start, stop):
            for i in range(start, stop):
                sizes = [(4, 4), (20 + i, 30)] if None in self.shape else [(8, 9), (8, 9)]
                images = {key: png(i, size)[0] for key, size in zip(self.keys, sizes)}
                yield i, {**images, "label": i}

    class Labelled(Pairs):
        keys = ("mask", "image")
        shape = (8, 9, 3)

    class Masks(Pairs):
        keys = ("mask", "depth")

    for kind in (Pairs, Labelled, Masks):
        kind(data_dir=folder, file_format="array_record").download_and_prepare()
    def picture(spec, index, split="train"):
        source = open_source(spec, split)
        assert source[index].shape == (*source.size(index), 3)
        assert source[index].dtype == np.uint8
        return source[index]

    source = open_source("tfds:pairs")
    assert len(source) == 5
    assert len(open_source("tfds:pairs", "train[:40%]")) == 2
    assert source.name(3) == "pairs/train/3"
    found = [source[i] for i in range(5)]
    for i in range(5):
        expected = png(i, (20 + i, 30))[1]
        assert any(np.array_equal(expected, pixels) for pixels in found), i
    assert picture("tfds:pairs", 1, "test").shape[1] == 30
    assert picture("tfds:labelled", 0).shape == (8, 9, 3)
    assert sum(1 for _ in source) == 5

    def message(name, split="train", where=folder):
        try:
            TfdsSource(name, split, where)
        except InputError as error:
            assert "\\n" not in str(error), error
            return str(error)
        raise AssertionError(name)

    assert "no split 'val'; allowed: train, test" in message("pairs", "val")
    assert "its image features: depth, mask" in message("masks")
    assert "TFDS cannot open 'nonsense'" in message("nonsense")
    assert "TFDS cannot open 'div2k/nonsense'" in message("div2k/nonsense")
    assert "TFDS cannot open 'pairs:9.9.9'" in message("pairs:9.9.9")
    for name in ("cifar10", "div2k/bicubic_x4"):
        text = message(name, where=folder + "/none")
        assert "is not there; prepare it once, with TensorFlow installed" in text
        assert f"tfds.builder({name!r}, data_dir=" in text
    assert "tensorflow" not in sys.modules
"""


def test_tfds_without_tensorflow(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    script = tmp_path / "script" / "tfds_test.py"
    script.parent.mkdir()
    script.write_text(textwrap.dedent(TFDS))
    command = [sys.executable, str(script), str(tmp_path / "data")]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TFDS_DATA_DIR": command[2]}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING:absl:Variant" not in done.stderr
