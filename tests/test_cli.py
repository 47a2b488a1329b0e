"""`inr-sr upscale` as a user runs it."""

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image, ImageCms

import inr_sr
from inr_sr import files, imagefile, upscaling, weights
from inr_sr.cli import main, upscale
from inr_sr.cli.request import RESAMPLERS
from inr_sr.resampling import METHODS
from tests.networks import random_model, small_config

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(*shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(top // 4, top // 2, shape, dtype)


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A file of small weights with every parameter random."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    _, params = random_model()
    weights.save_weights(path, jax.tree.map(lambda p: 0.5 * p, params), small_config(), {})
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with photos/: two images and, below sub/, a grey one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    Image.fromarray(noise(9, 12, 3)).save("photos/a.png")
    Image.fromarray(noise(8, 8, 3)).save("photos/b.jpg")
    Image.fromarray(noise(5, 7)).save("photos/sub/c.png")
    return tmp_path


def opened(path):
    """A PIL image whose file is closed."""
    with Image.open(path) as image:
        image.load()
    return image


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("extension", ["png", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_depth_colour_alpha_and_metadata_are_kept(
    folder, network, capsys, extension, dtype, channels, alpha
):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    source = imagefile.ImageData(
        noise(9, 12, channels, dtype=dtype),
        noise(9, 12, dtype=dtype, seed=1) if alpha else None,
        icc=SRGB if channels == 3 else None,
        exif=exif.tobytes(),
        dpi=(300.0, 300.0),
    )
    imagefile.write(f"in.{extension}", source)
    arguments = ["--scale", "2x1.5", "--weights", str(network)]
    assert main(["upscale", f"in.{extension}", f"out.{extension}", *arguments]) == 0
    assert capsys.readouterr() == (f"out.{extension}\n", "")
    result = imagefile.read(f"out.{extension}")
    assert result.size == (18, 18)
    assert result.pixels.dtype == dtype
    if not (extension == "tiff" and dtype == np.uint16 and alpha):  # written as RGBA
        assert result.pixels.shape[2] == channels
    assert (result.alpha is not None) == alpha
    assert result.icc == source.icc
    assert np.allclose(result.dpi, 300, atol=0.1)
    assert opened(f"out.{extension}").getexif()[0x010F] == "Maker"
    # The same colours as from Python.
    expected = upscaling.load(network).upscale(
        np.squeeze(source.pixels, axis=2) if channels == 1 else source.pixels, scale=(2, 1.5)
    )
    if not alpha:
        np.testing.assert_array_equal(np.squeeze(result.pixels), expected)


def test_palettes_and_orientation(folder, network):
    Image.fromarray(noise(9, 12, 3)).quantize(8).save("palette.png", transparency=3)
    assert main(["upscale", "palette.png", "o.png", "--scale", "2", "--method", "nearest"]) == 0
    before, after = (opened(name).convert("RGBA") for name in ("palette.png", "o.png"))
    visible = np.asarray(after)[::2, ::2]
    shown = np.asarray(before)[:, :, 3] > 0
    np.testing.assert_array_equal(visible[shown], np.asarray(before)[shown])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(9, 12, 3)).save("turned.png", exif=exif)
    for request in (["--width", "18"], ["--height", "24"], ["--size", "18x24"]):
        arguments = ["turned.png", "o.png", *request, "--weights", str(network)]
        assert main(["upscale", *arguments]) == 0
        assert opened("o.png").size == (18, 24)
        assert opened("o.png").getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["photos/b.jpg", "--scale", "3.70"], "photos/b_x3.7.jpg"),
        (["photos/b.jpg", "--scale", "2x1.5"], "photos/b_x2x1.5.jpg"),
        (["photos/b.jpg", "--size", "20x10", "--format", "webp"], "photos/b_20x10.webp"),
        (["photos/b.jpg", "--width", "20", "--format", ".PNG"], "photos/b_w20.png"),
        (["still.gif", "--height", "20"], "still_h20.png"),
        (["photos/b.jpg", "photos/sub", "--scale", "2"], "photos/sub/b.jpg"),
        (["photos/b.jpg", "photos/a.png", "--scale", "2"], "photos/a.png"),  # replaced
    ],
)
def test_names_of_results(folder, capsys, arguments, output):
    Image.fromarray(noise(5, 5)).save("still.gif")
    assert main(["upscale", *arguments, "--method", "bicubic"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert imagefile.read(output).size != (9, 12)


def test_folders_keep_their_shape_and_one_bad_image_is_reported(folder, network, capsys):
    (folder / "photos" / "broken.png").write_bytes((folder / "photos/a.png").read_bytes()[:200])
    (folder / "photos" / "notes.txt").write_text("not an image")
    arguments = ["upscale", "photos", "--scale", "2", "--recursive", "--weights", str(network)]
    assert main([*arguments, "--json", "summary.json"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["photos_x2/a.png", "photos_x2/b.jpg", "photos_x2/sub/c.png"]
    assert err.startswith("failed: photos/broken.png")
    assert err.endswith("1 of 4 images failed\n")
    assert set(tree(folder / "photos_x2")) == {"a.png", "b.jpg", "sub", "sub/c.png"}
    assert opened("photos_x2/sub/c.png").mode == "L"
    summary = json.loads((folder / "summary.json").read_text())
    counts = {key: summary[key] for key in ("method", "written", "skipped", "failed")}
    assert counts == {"method": "small", "written": 3, "skipped": 0, "failed": 1}
    first, broken = summary["files"][0], summary["files"][2]
    assert first["seconds"] > 0
    assert first | {"seconds": 0} == {
        "input": "photos/a.png",
        "output": "photos_x2/a.png",
        "status": "written",
        "size_in": [12, 9],
        "size_out": [24, 18],
        "scale": "2",
        "seconds": 0,
    }
    assert (broken["status"], broken["input"]) == ("failed", "photos/broken.png")
    assert "broken.png" in broken["error"]


def test_resume_does_what_is_missing_or_torn(folder, capsys):
    arguments = ["upscale", "photos", "large", "--scale", "2", "--recursive", "--resume"]
    arguments += ["--method", "lanczos"]
    assert main(arguments) == 0
    whole = tree(folder / "large")
    (folder / "large/sub/c.png").unlink()
    (folder / "large/a.png").write_bytes(whole["a.png"][:-200])
    times = os.stat("large/b.jpg").st_mtime_ns
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [file["status"] for file in summary["files"]] == ["written", "skipped", "written"]
    assert tree(folder / "large") == whole
    assert os.stat("large/b.jpg").st_mtime_ns == times
    # A result of another size is no result of this request.
    assert main([*arguments[:3], "--scale", "3", *arguments[5:], "--json=-"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 3


def test_results_inside_the_input_folder_are_not_enlarged_again(folder):
    for _ in range(2):
        arguments = ["photos", "photos/large", "--recursive", "--scale", "2", "--method", "box"]
        assert main(["upscale", *arguments]) == 0
    assert set(tree(folder / "photos/large")) == {"a.png", "b.jpg", "sub", "sub/c.png"}


def test_images_that_would_get_one_name_get_two(folder):
    Image.fromarray(noise(8, 8, 3)).save("photos/a.bmp")
    arguments = ["photos", "out", "--scale", "1", "--method", "nearest", "--format", "png"]
    assert main(["upscale", *arguments]) == 0
    assert set(tree(folder / "out")) == {"a_bmp.png", "a_png.png", "b.png"}


def _truncated(folder):
    path = folder / "photos" / "a.png"
    path.write_bytes(path.read_bytes()[:150])


def _bomb(folder):
    header = (folder / "photos" / "a.png").read_bytes()
    side = (100_000).to_bytes(4, "big")
    head = b"IHDR" + side + side + header[24:29]
    crc = zlib.crc32(head).to_bytes(4, "big")
    (folder / "photos" / "a.png").write_bytes(header[:12] + head + crc + header[33:])


def _damaged_weights(folder):
    (folder / "w.safetensors").write_bytes(b"\0" * 100)


@pytest.mark.parametrize(
    ("arguments", "message", "prepare"),
    [
        (["photos/a.png"], "--scale", None),
        (["photos/a.png", "--scale", "0"], "'0' is not allowed", None),
        (["photos/a.png", "--scale", "-2"], "'-2' is not allowed", None),
        (["photos/a.png", "--scale", "nan"], "'nan' is not allowed", None),
        (["photos/a.png", "--scale", "inf"], "'inf' is not allowed", None),
        (["photos/a.png", "--scale", "two"], "'two' is not allowed", None),
        (["photos/a.png", "--scale", "2x2x2"], "'2x2x2' is not allowed", None),
        (["photos/a.png", "--size", "20"], "'20' is not allowed; expected WxH", None),
        (["photos/a.png", "--size", "0x20"], "'0x20' is not allowed", None),
        (["photos/a.png", "--width", "0"], "'0' is not allowed", None),
        (["photos/a.png", "--scale", "2", "--width", "9"], "not allowed with", None),
        (["photos/a.png", "--scale", "2", "--tile", "-1"], "'-1' is not allowed", None),
        (["photos/a.png", "--scale", "2", "--bogus"], "--bogus", None),
        (["photos/a.png", "--scale", "1" + 12 * "0"], "absurdly", None),
        (["photos/a.png", "--scale", "9999"], "10.8 gigapixels", None),
        (["photos/a.png", "--scale", "2", "--format", "gif"], "format 'gif'", None),
        (["photos/a.png", "out.png", "--scale", "2", "--format", "jpg"], "contradicts", None),
        (["photos/a.png", "out.xyz", "--scale", "2"], "extension", None),
        (["photos/a.png", "photos/a.png", "--scale", "2"], "is the input", None),
        (["photos/a.png", "photos", "--scale", "2"], "is the input", None),
        (["photos/a.png", "none/out.png", "--scale", "2"], "no folder", None),
        (["photos/none.png", "--scale", "2"], "no file or folder photos/none.png", None),
        (["photos", "photos", "--scale", "2"], "is the input folder", None),
        (["photos", "photos/a.png", "--scale", "2"], "is a file", None),
        (["photos", "o", "--scale", "99999"], "10 gigapixels", None),
        (["photos", "o", "--scale", "2", "--json=o"], "one of the images or folders", None),
        (["photos", "notes/o", "--scale", "2"], "notes is not a folder",
         lambda f: (f / "notes").touch()),
        (["", "--scale", "2"], "'' is not allowed; expected the path", None),
        (["photos", "", "--scale", "2"], "'' is not allowed; expected the path", None),
        (["photos", "--scale", "2", ""], "unrecognized arguments", None),
        (["pipe.png", "--scale", "2"], "is a pipe", lambda f: os.mkfifo(f / "pipe.png")),
        (["empty", "--scale", "2"], "no images in empty", lambda f: (f / "empty").mkdir()),
        (["photos/a.png", "--scale", "2"], "truncated", _truncated),
        (["photos/a.png", "--scale", "2"], "100000x100000", _bomb),
        (["notes.png", "--scale", "2"], "not an image",
         lambda f: (f / "notes.png").write_text("notes")),
        (["photos/a.png", "--scale", "2", "--method", "cubic"], "there are: bicubic", None),
        (["photos/a.png", "--scale", "2", "--weights", "none"], "unknown weights", None),
        (["photos", "o", "--scale", "2", "--weights", "none"], "unknown weights", None),
        (["photos", "o", "--scale", "2", "--weights", "w.safetensors"], "w.safetensors is damaged",
         _damaged_weights),
        (["photos/a.png", "--scale", "2", "--json", "none/s.json"], "cannot write none/s.json",
         None),
        (["photos/a.png", "--scale", "2", "--json=photos/a.png"], "one of the images", None),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_touch_nothing(folder, capsys, arguments, message, prepare):
    if prepare is not None:
        prepare(folder)
    if not {"--weights", "--method"} & set(arguments):
        arguments = [*arguments, "--method", "bicubic"]
    before = tree(folder)
    assert main(["upscale", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert tree(folder) == before


def test_choices_that_exclude_each_other(folder, network, capsys):
    base = ["upscale", "photos/a.png", "--scale", "2", "--method", "bicubic"]
    assert main([*base, "--weights", str(network)]) == 2
    assert main([*base, "--ensemble"]) == 2
    assert main(["upscale", "photos", "--scale", "2", "--json", "photos/a.png"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_scale_beyond_the_network_is_a_mistake_for_folders_too(folder, network, capsys):
    before = tree(folder)
    assert main(["upscale", "photos", "o", "--scale", "1500", "--weights", str(network)]) == 2
    assert "by at most 1000" in capsys.readouterr().err
    assert tree(folder) == before


def test_out_may_lie_above_in(folder):
    (folder / "photos" / "raw").mkdir()
    shutil.copy("photos/a.png", "photos/raw/d.png")
    assert main(["upscale", "photos/raw", "photos", "--scale", "2", "--method", "box"]) == 0
    assert opened("photos/d.png").size == (24, 18)


def test_originals_in_the_output_folder_are_not_replaced(folder, capsys):
    arguments = ["upscale", "photos", "photos/sub", "--recursive", "--method", "box", "--scale"]
    shutil.copy("photos/a.png", "photos/sub/a.png")
    before = tree(folder)
    for _ in range(2):  # the second time b.jpg is an earlier result
        assert main([*arguments, "2"]) == 1
        assert "photos/sub/a.png is there and is no earlier result" in capsys.readouterr().err
        after = tree(folder)
        assert set(after) - set(before) == {"photos/sub/b.jpg"}
        assert {name: after[name] for name in before} == before


def test_a_run_in_which_all_fails_leaves_no_folder(folder, capsys):
    for name in ("a.png", "b.jpg"):
        (folder / "photos" / name).write_bytes(b"")
    assert main(["upscale", "photos", "o/p", "--scale", "2", "--method", "box"]) == 1
    assert not (folder / "o").exists()


def test_yes_lifts_the_limit(folder, monkeypatch):
    monkeypatch.setattr(upscale, "MAX_OUTPUT_PIXELS", 100)
    arguments = ["upscale", "photos/a.png", "o.png", "--scale", "2", "--method", "bicubic"]
    assert main(arguments) == 2
    assert main([*arguments, "--yes"]) == 0


def test_two_images_never_become_one(folder, capsys):
    shutil.copy("photos/b.jpg", "photos/a.jpg")
    shutil.copy("photos/b.jpg", "photos/a_jpg.bmp")
    before = tree(folder)
    arguments = ["photos", "out", "--scale", "2", "--method", "box", "--format", "png"]
    assert main(["upscale", *arguments]) == 2
    assert "would both become out/a_jpg.png; rename one" in capsys.readouterr().err
    assert tree(folder) == before


@pytest.mark.slow
def test_memory_does_not_grow_with_the_output(folder, network):
    """5 and 38 megapixels of a network: the larger alone would be 108 MiB in eight bits."""
    Image.effect_noise((96, 96), 50).convert("RGB").save("small.png")
    code = (
        "import sys; from inr_sr.cli import main\n"
        "from inr_sr.reporting.machine import peak_memory\n"
        "assert main(['upscale', 'small.png', 'o.png', '--weights', sys.argv[1],"
        " '--scale', sys.argv[2]]) == 0\n"
        "print(peak_memory())"
    )
    peaks = []
    for scale in ("24", "64"):
        command = [sys.executable, "-c", code, str(network), scale]
        run = subprocess.run(
            command, check=True, env=_environment(), capture_output=True, text=True
        )
        peaks.append(float(run.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 80


def test_names_of_weights_are_methods(folder, network, monkeypatch, capsys):
    monkeypatch.setattr(weights, "PRETRAINED", network.parent)
    arguments = ["upscale", "photos/a.png", "o.png", "--scale", "2", "--ensemble", "--tile", "8"]
    assert main([*arguments, "--method", "small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "small"
    assert main([*arguments, "--method", "cubic"]) == 2
    assert "there are: bicubic, lanczos, nearest, box, small" in capsys.readouterr().err


def test_interruption_leaves_no_half_file(folder, monkeypatch, capsys):
    def stop(upscaler, image, size):
        yield np.zeros((size[0] // 2, size[1], 3), np.float32)
        assert list(folder.glob(".o-*"))
        raise KeyboardInterrupt

    monkeypatch.setattr(upscaling.ResampleUpscaler, "strips", stop)
    before = tree(folder)
    for output in ("o.png", "o.tif", "o.jpg"):
        arguments = ["photos/a.png", output, "--scale", "2", "--method", "bicubic"]
        assert main(["upscale", *arguments]) == 130
        assert capsys.readouterr().err == "interrupted\n"
        assert tree(folder) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_ends_the_upscaling(folder, monkeypatch, capsys):
    printed = []  # by the time that upscaling has ended

    def rows(upscaler, image, size):
        try:
            for _ in range(size[0]):
                yield np.random.default_rng(0).random((1, size[1], 3), np.float32)
        finally:
            printed.append(capsys.readouterr().err)

    monkeypatch.setattr(upscaling.ResampleUpscaler, "strips", rows)
    monkeypatch.setattr(imagefile, "check_writable", lambda *_, **__: None)
    monkeypatch.setattr(files, "_temporary", lambda target: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    for output in ("o.png", "o.tif", "o.jpg"):
        size = ["--size", "9000x40"]
        assert main(["upscale", "photos/a.png", output, *size, "--method", "bicubic"]) == 2
        assert f"cannot write {output}: No space left" in capsys.readouterr().err
    assert printed == [""] * 3


def test_the_bar_is_on_stderr_and_results_on_stdout(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["upscale", "photos", "out", "--scale", "2", "--method", "bicubic"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["out/a.png", "out/b.jpg"]
    assert "100 %" in err


def test_mistakes_are_answered_before_jax_is_imported(folder):
    code = (
        "import sys; from inr_sr.cli import main\n"
        "for mistake in ['--scale=0'], ['--scale=2', '--weights=none'], ['--scale=9999'],"
        " ['none/o.png', '--scale=2'], ['--scale=2', '--json=none/s.json']:\n"
        "    assert main(['upscale', 'photos/a.png', *mistake]) == 2\n"
        "assert main(['upscale', 'photos', '--scale=99999']) == 2\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=_environment())


@pytest.mark.slow
def test_the_program_with_a_cache_that_is_kept_or_not_writable(folder, network):
    (folder / "file").write_text("")
    command = [sys.executable, "-m", "inr_sr.cli", "upscale", "photos/a.png", "o.png"]
    command += ["--scale", "2", "--weights", str(network)]
    for name in ("cache", "file/cache"):
        environment = _environment(XDG_CACHE_HOME=name)
        environment.pop("JAX_COMPILATION_CACHE_DIR")
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout, run.stderr) == (0, "o.png\n", "")
        assert opened("o.png").size == (24, 18)
    assert list((folder / "cache" / "inr_sr" / "jax").glob("jit_encode_tile-*"))


@pytest.mark.slow
def test_the_second_run_compiles_nothing(folder, network):
    request = ["upscale", "photos/a.png", "--scale=2.5", f"--weights={network}"]
    code = (
        "import jax; from inr_sr.cli import main\n"
        f"assert main({request}) == 0\n"
        "jax.jit(lambda x: x + 1)(1)"  # compiles in no time, and is kept all the same
    )
    environment = _environment(JAX_COMPILATION_CACHE_DIR="cache", JAX_LOG_COMPILES="1")
    programs, found = [], []
    for _ in range(2):
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        programs.append(run.stderr.count("Finished XLA compilation"))
        found.append(run.stderr.count("Persistent compilation cache hit"))
    assert programs[0] == programs[1] > 1
    assert found == [0, programs[1]]


def test_garbage_is_collected_once_jax_is_imported(folder, network):
    request = ["upscale", "photos/a.png", "--scale=2", f"--weights={network}"]
    code = (
        "import gc; from inr_sr.cli import main\n"
        f"assert main({request}) == 0\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 100_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=_environment())


def _environment(**changes):
    root = os.path.dirname(os.path.dirname(os.path.abspath(inr_sr.__file__)))
    return {**os.environ, "PYTHONPATH": root, **changes}


def test_all_resampling_methods_are_offered():
    assert sorted(RESAMPLERS) == sorted(METHODS)
