import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inr_sr import imagefile
from inr_sr.data.crops import stream_crops
from inr_sr.data.sources import (
    ArraySource,
    EmbeddedSource,
    FolderSource,
    Source,
    fingerprint,
    open_source,
)
from inr_sr.errors import InputError
from tests.upscalers import Images


def noise(seed: int, size: tuple[int, int] = (12, 17)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    pixels = noise(0)
    Image.fromarray(pixels).save(tmp_path / "deep" / "er" / "a.png")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    deep = imagefile.ImageData(pixels.astype(np.uint16) * 257)
    imagefile.write(tmp_path / "sixteen.tif", deep)
    clear = imagefile.ImageData(pixels, np.zeros(pixels.shape[:2], np.uint8))
    imagefile.write(tmp_path / "transparent.png", clear)
    (tmp_path / "notes.txt").write_text("no image")

    source = open_source(str(tmp_path))
    names = ["deep/er/a.png", "grey.png", "sixteen.tif", "transparent.png"]
    assert [source.name(i) for i in range(len(source))] == names
    expected = [pixels, np.repeat(pixels[:, :, :1], 3, axis=2), pixels, np.full_like(pixels, 255)]
    for index, array in enumerate(expected):
        np.testing.assert_array_equal(source[index], array)
        assert source.size(index) == (12, 17)


def test_mistakes_about_folders(tmp_path):
    with pytest.raises(InputError, match="no images in"):
        FolderSource(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        FolderSource(tmp_path / "none")
    (tmp_path / "bad.png").write_bytes(b"no image")
    source = FolderSource(tmp_path)
    for access in (source.__getitem__, source.size):
        with pytest.raises(InputError, match=r"bad\.png is not an image"):
            access(0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_are_written_out(tmp_path):
    Image.fromarray(noise(0)).save(tmp_path / os.fsdecode(b"caf\xe9.png"))
    source = FolderSource(tmp_path)
    assert source.name(0) == "caf\\xe9.png"
    assert len(fingerprint(source)) == 64


def test_embedded_images():
    train, test = open_source("embedded"), open_source("embedded", "test")
    assert (len(train), len(test)) == (11, 4)
    names = [source.name(i) for source in (train, test) for i in range(len(source))]
    assert len(set(names)) == 15
    licences = (Path(imagefile.__file__).parents[1] / "images" / "LICENSES.md").read_text()
    for source, split in ((train, "train"), (test, "test")):
        for index in range(len(source)):
            assert source[index].shape == (*source.size(index), 3)
            assert min(source.size(index)) >= 300
            assert f"| `{split}/{source.name(index)}` |" in licences
    with pytest.raises(InputError, match="no split 'validation'; allowed: train and test"):
        EmbeddedSource("validation")


def test_arrays():
    source = ArraySource([noise(0), noise(1, (5, 6))])
    assert (len(source), source.size(1), source.name(1)) == (2, (5, 6), "1")
    np.testing.assert_array_equal(source[1], noise(1, (5, 6)))
    for wrong in ([], [noise(0)[:, :, 0]], [noise(0).astype(np.float32)]):
        with pytest.raises(InputError, match="needed"):
            ArraySource(wrong)


class Pyramid(Source):
    """One image and its halves, which reads windows by itself and keeps them."""

    def __init__(self, image: np.ndarray):
        self.image = image
        self.windows: list[np.ndarray] = []

    def __len__(self) -> int:
        return 1

    def name(self, index: int) -> str:
        return "slide"

    def levels(self, index: int) -> int:
        return 3

    def _size(self, index: int, level: int) -> tuple[int, int]:
        rows, cols, _ = self.image[:: 2**level, :: 2**level].shape
        return rows, cols

    def _read(self, index: int, rows: slice, cols: slice, level: int) -> np.ndarray:
        self.windows.append(self.image[:: 2**level, :: 2**level][rows, cols])
        return self.windows[-1]


def sources(folder: Path) -> list[Source]:
    Image.fromarray(noise(0)).save(folder / "a.png")
    return [
        FolderSource(folder), EmbeddedSource("test"), ArraySource([noise(1)]),
        Images(b=noise(2)), Pyramid(noise(3)),
    ]  # fmt: skip


def test_a_window_equals_the_crop_of_the_whole(tmp_path):
    for source in sources(tmp_path):
        whole = source[0]
        rows, cols = source.size(0)
        assert whole.shape == (rows, cols, 3)
        windows = [
            (slice(0, rows), slice(None)),
            (slice(3, 4), slice(5, 12)),
            (slice(rows - 1, rows), slice(None, 1)),
        ]
        for window in windows:
            pixels = source.read(0, *window)
            np.testing.assert_array_equal(pixels, whole[window])
            assert isinstance(source, Pyramid) or pixels.base is None  # frees the whole image


def test_levels():
    pyramid = Pyramid(noise(0, (21, 30)))
    assert [pyramid.size(0, level) for level in range(3)] == [(21, 30), (11, 15), (6, 8)]
    window = pyramid.read(0, slice(2, 11), slice(14, 15), level=1)
    np.testing.assert_array_equal(window, noise(0, (21, 30))[4::2, 28:29])
    with pytest.raises(InputError, match="slide has no level 3; allowed: 0 to 2"):
        pyramid.size(0, 3)
    with pytest.raises(InputError, match=r"rows 2:12 .* slide, 11 rows and 15 columns at level 1"):
        pyramid.read(0, slice(2, 12), slice(None), level=1)


def test_wrong_windows_are_refused(tmp_path):
    for source in sources(tmp_path):
        rows, cols = source.size(0)
        size = f"{source.name(0)}, {rows} rows and {cols} columns"
        for wrong, text in (
            ((slice(0, rows + 1), slice(None)), f"rows 0:{rows + 1} and columns : are no window"),
            ((slice(None), slice(-3, None)), "rows : and columns -3: are no window"),
            ((slice(4, 4), slice(0, 2)), "rows 4:4 and columns 0:2 are no window"),
            ((slice(0, 4), slice(6, 2)), "rows 0:4 and columns 6:2 are no window"),
            ((slice(0, 4, 2), slice(None)), "rows 0:4:2 and columns : are no window"),
        ):
            with pytest.raises(InputError, match=f"{text} of {size}"):
                source.read(0, *wrong)
        if not isinstance(source, Pyramid):
            with pytest.raises(InputError, match="has no level 1; allowed: 0"):
                source.read(0, slice(None), slice(None), level=1)


def test_training_crops_are_read_by_windows():
    options = {"batch_size": 4, "crop": 8, "border": 1, "seed": 3, "threads": 1}
    pyramid = Pyramid(noise(0))
    found, expected = (stream_crops(s, **options) for s in (pyramid, ArraySource([noise(0)])))
    for _ in range(10):
        np.testing.assert_array_equal(next(found), next(expected))
    for batches in (found, expected):
        batches.close()
    assert max(max(window.shape) for window in pyramid.windows) <= 8


def test_a_fingerprint_is_of_names_and_sizes(tmp_path):
    def folder(name: str, **sizes: tuple[int, int]) -> FolderSource:
        (tmp_path / name).mkdir()
        for stem, size in sizes.items():
            Image.fromarray(noise(0, size)).save(tmp_path / name / f"{stem}.png")
        return FolderSource(tmp_path / name)

    found = fingerprint(folder("one", a=(3, 4), b=(5, 6)))
    assert found == fingerprint(folder("moved", a=(3, 4), b=(5, 6)))
    others = [{"a": (3, 4)}, {"a": (3, 4), "b": (6, 5)}, {"a": (3, 4), "c": (5, 6)}]
    assert found not in [fingerprint(folder(f"other{i}", **o)) for i, o in enumerate(others)]


# In a process of its own: TFDS registers data sets globally, and whether TensorFlow was imported
# is to be seen.
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
    def image(spec, index, split="train"):
        source = open_source(spec, split)
        assert source[index].shape == (*source.size(index), 3)
        assert source[index].dtype == np.uint8
        window = source.read(index, slice(2, 7), slice(4, None))
        assert np.array_equal(window, source[index][2:7, 4:])
        return source[index]

    source = open_source("tfds:pairs")
    assert len(source) == 5
    assert len(open_source("tfds:pairs", "train[:40%]")) == 2
    assert source.name(3) == "pairs/train/3"
    found = [source[i] for i in range(5)]
    for i in range(5):
        expected = png(i, (20 + i, 30))[1]
        assert any(np.array_equal(expected, pixels) for pixels in found), i
    assert image("tfds:pairs", 1, "test").shape[1] == 30
    assert image("tfds:labelled", 0).shape == (8, 9, 3)
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
