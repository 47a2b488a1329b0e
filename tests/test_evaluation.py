import json
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.evaluation import metrics, panels
from inr_sr.evaluation.evaluate import enlargement, evaluate
from inr_sr.evaluation.protocols import (
    PROTOCOLS,
    Scale,
    get_protocol,
    make_pair,
    pair_sizes,
    parse_scales,
)
from inr_sr.evaluation.report import write_report
from inr_sr.evaluation.results import Results, write_json, write_markdown
from inr_sr.resampling import resize, resize_uint8


class Kernel:
    """An upscaler that is one resampling kernel, and counts what it is asked for."""

    def __init__(self, method: str = "bicubic", name: str | None = None):
        self.method = method
        self.name = name or method
        self.calls: list[tuple[int, ...]] = []

    def upscale(self, image: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
        self.calls.append((*image.shape[:2], *out_size))
        return np.clip(np.asarray(resize(jnp.asarray(image), out_size, self.method)), 0, 1)


class Compiled(Kernel):
    """Compiles once for each shape."""

    parameters = 1234

    @property
    def programs(self) -> int:
        return len(set(self.calls))


class Constant:
    """An upscaler that knows the answer, or a wrong one."""

    def __init__(self, answer: np.ndarray, name: str = "constant"):
        self.answer = answer
        self.name = name

    def upscale(self, image: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
        return self.answer


class Pictures:
    """A source of arrays."""

    def __init__(self, **pictures: np.ndarray):
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        return list(self.pictures.values())[index]

    def size(self, index: int) -> tuple[int, int]:
        rows, cols, _ = self[index].shape
        return rows, cols

    def name(self, index: int) -> str:
        return list(self.pictures)[index]


def picture(rows: int = 60, cols: int = 48, seed: int = 0) -> np.ndarray:
    """A smooth picture, so that scores are of the order of real ones."""
    coarse = np.random.default_rng(seed).integers(0, 256, (rows // 6, cols // 6, 3))
    return resize_uint8(coarse.astype(np.uint8), (rows, cols))


def scale(label: str) -> Scale:
    (only,) = parse_scales(label)
    return only


def run(upscalers, source=None, scales="2", protocol="y", **options) -> Results:
    source = Pictures(one=picture()) if source is None else source
    return evaluate(
        upscalers, source, parse_scales(scales), get_protocol(protocol), "made", **options
    )


# Scales and pairs


def test_scales_are_read_and_named():
    scales = parse_scales("2, 2.70,3.0,4,.8e1,2X3.5".replace(".8e1", "8"))
    assert [s.label for s in scales] == ["2", "2.7", "3", "4", "8", "2x3.5"]
    assert [s.axes for s in scales][-1] == (2.0, 3.5)
    assert scales[1] == Scale(2.7, 2.7, "2.7")


def test_a_scale_named_twice_is_taken_once():
    assert [s.label for s in parse_scales("2,4,2.0")] == ["2", "4"]


@pytest.mark.parametrize(
    "text", ["", "2,", "0", "-2", "nan", "inf", "two", "2x", "x2", "2x3x4", "0.5", "2x0.9", "1e400"]
)
def test_other_scales_are_refused_by_name(text):
    with pytest.raises(InputError, match=r"scale '.*' is not allowed") as caught:
        parse_scales(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("hr", "label", "lr_size", "hr_size"),
    [
        ((27, 54), "2.7", (10, 20), (27, 54)),  # 27 / 2.7 is 9.99... in floats
        ((100, 101), "2.7", (37, 37), (100, 100)),  # 99.9 is rounded
        ((511, 512), "2", (255, 256), (510, 512)),
        ((100, 100), "2x3.5", (50, 28), (100, 98)),
        ((7, 7), "1", (7, 7), (7, 7)),
    ],
)
def test_sizes_of_a_pair(hr, label, lr_size, hr_size):
    assert pair_sizes(hr, scale(label)) == (lr_size, hr_size)


@pytest.mark.parametrize("label", ["1.1", "1.5", "2.3", "2.7", "3.7", "6.9", "12"])
def test_the_ground_truth_never_exceeds_the_picture(label):
    for n in range(12, 300):
        (rows, _), (truth, _) = pair_sizes((n, n), scale(label))
        assert truth <= n
        assert abs(truth / rows - float(label)) <= 0.5 / rows + 1e-12


def test_pair_is_cropped_then_shrunk():
    hr = picture(61, 50)
    lr, truth = make_pair(hr, scale("2.7"))
    np.testing.assert_array_equal(truth, hr[:59, :49])
    np.testing.assert_array_equal(lr, resize_uint8(truth, (22, 18)))


def test_pil_pair_is_that_of_pil():
    lr, truth = make_pair(picture(), scale("4"), "pil")
    expected = Image.fromarray(truth).resize((12, 15), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(lr, np.array(expected))


def test_a_picture_below_one_lr_pixel_is_refused_by_name():
    with pytest.raises(InputError, match=r"tiny \(30x5\) is too small for scale 6"):
        make_pair(picture(6, 30)[:5], scale("6"), name="tiny")


def test_matlab_pairs_of_set5(shared):
    """Shrinking the cropped picture is what MATLAB's files of the benchmark were made by."""
    for path in sorted((shared / "set5" / "HR").glob("*.png")):
        lr, _ = make_pair(np.array(Image.open(path).convert("RGB")), scale("3"))
        (reference,) = (shared / "set5" / "LR_matlab" / "x3").glob(f"{path.stem}*.png")
        np.testing.assert_array_equal(lr, np.array(Image.open(reference).convert("RGB")))


# Protocols


def test_unknown_protocol_lists_those_there_are():
    with pytest.raises(InputError, match=r"'z': choose one of y, y-float, .*div2k"):
        get_protocol("z")


def test_borders():
    assert PROTOCOLS["y"].border(scale("2.7")) == (3, 3)
    assert PROTOCOLS["y"].border(scale("2x3.5")) == (2, 4)
    assert PROTOCOLS["div2k"].border(scale("4")) == (10, 10)


def test_protocols_differ_as_they_say():
    upscalers = [Kernel()]
    y, rounded = run(upscalers, protocol="y-float").rows[0], run(upscalers).rows[0]
    assert 0 < abs(y.psnr_y - rounded.psnr_y) < 0.5
    pil = run(upscalers, protocol="y-pil").rows[0]
    assert 0 < abs(pil.psnr_y - rounded.psnr_y) < 0.5

    hr = picture()
    lr, truth = make_pair(hr, scale("2"))
    output = Kernel().upscale(lr / np.float32(255), (60, 48))
    inside = (slice(8, -8), slice(8, -8))
    row = run(upscalers, protocol="div2k").rows[0]
    assert row.psnr_rgb == metrics.psnr(output[inside], truth[inside])
    assert row.psnr_y == metrics.psnr(metrics.luma(output[inside]), metrics.luma(truth[inside]))
    assert row.ssim == metrics.ssim(output[inside], truth[inside])
    eight_bit = metrics.quantise(output)
    assert run(upscalers, protocol="div2k-uint8").rows[0].psnr_rgb == metrics.psnr(
        eight_bit[inside], truth[inside]
    )


# The evaluation


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [  # of bicubic in float; the docstring of protocols.py states the same
        ("y", (33.678, 30.404, 28.431)),
        ("y-float", (33.684, 30.406, 28.432)),
        ("y-pil", (33.679, 30.404, 28.431)),
    ],
)
def test_bicubic_meets_the_published_yardstick(shared, protocol, expected):
    files = sorted((shared / "set5" / "HR").glob("*.png"))
    source = Pictures(**{f.stem: np.array(Image.open(f).convert("RGB")) for f in files})
    results = run([Kernel()], source, "2,3,4", protocol)
    found = [row.psnr_y for row in results.rows]
    assert found == pytest.approx([33.66, 30.39, 28.42], abs=0.03)
    assert found == pytest.approx(expected, abs=1e-3)
    assert [row.ssim for row in results.rows] == pytest.approx([0.930, 0.869, 0.811], abs=1e-3)


def test_rows_are_means_of_their_pictures():
    source = Pictures(a=picture(seed=1), b=picture(49, 54, seed=2))
    seen = []
    results = run(
        [Kernel(), Kernel("nearest")],
        source,
        "2,2x2.5",
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    assert [(row.scale, row.method) for row in results.rows] == [
        ("2", "bicubic"), ("2", "nearest"), ("2x2.5", "bicubic"), ("2x2.5", "nearest"),
    ]  # fmt: skip
    for row in results.rows:
        assert [image.name for image in row.images] == ["a", "b"]
        for field in ("psnr_y", "psnr_rgb", "ssim", "lr_psnr"):
            values = [getattr(image, field) for image in row.images]
            assert getattr(row, field) == pytest.approx(np.mean(values), abs=1e-12)
        speeds = [image.seconds / image.megapixels for image in row.images]
        assert row.seconds_per_megapixel == pytest.approx(np.median(speeds))
        assert row.seconds == pytest.approx(np.median([image.seconds for image in row.images]))
    assert seen[-1] == (8, 8, "b ×2x2.5 nearest")
    bicubic, nearest = (results.row(method, scale("2")) for method in ("bicubic", "nearest"))
    assert bicubic.psnr_y > nearest.psnr_y
    assert bicubic.peak_mib is None or bicubic.peak_mib > 1


def test_what_compiled_is_timed_again():
    plain, compiled = Kernel(name="plain"), Compiled(name="compiled")
    results = run([plain, compiled], Pictures(a=picture(), b=picture(), c=picture()), "2,3")
    assert (len(plain.calls), len(compiled.calls)) == (6, 8)
    assert [results.row(name, scale("2")).parameters for name in results.methods] == [0, 1234]


def test_json_has_no_infinity(tmp_path):
    truth = picture()
    oracle = Constant(truth / np.float32(255), "oracle")
    results = run([Kernel(), oracle], Pictures(one=truth))
    write_json(tmp_path / "results.json", results)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    document = json.loads(text, parse_constant=refuse)
    bicubic, perfect = document["results"]
    assert (perfect["psnr_y"], perfect["psnr_rgb"], perfect["lr_psnr"]) == (None, None, None)
    assert perfect["ssim"] == pytest.approx(1)
    assert (bicubic["dataset"], bicubic["scale"], bicubic["method"]) == ("made", "2", "bicubic")
    keys = {"name", "psnr_y", "psnr_rgb", "ssim", "lr_psnr", "seconds"}
    assert keys <= set(bicubic["images"][0])
    assert bicubic["images"][0]["psnr_y"] == results.rows[0].images[0].psnr_y
    assert document["protocol"]["name"] == "y"
    assert {"version", "machine", "units"} <= set(document)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_markdown(tmp_path):
    truth = picture()
    upscalers = [Kernel(), Kernel("lanczos"), Constant(truth / np.float32(255), "oracle")]
    results = run(upscalers, Pictures(one=truth))
    write_markdown(tmp_path / "results.md", results)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    row = results.rows[0]
    assert text.startswith("made, 1 picture, protocol y: ")
    assert f"| bicubic | {row.psnr_y:.2f} / {row.ssim:.4f} |" in text
    assert "| oracle | **∞ / 1.0000** |" in text
    assert re.search(r"\| lanczos \| \+\d\.\d\d \|\n\| oracle \| – \|", text)


def test_mistakes_are_found_before_anything_is_enlarged():
    bicubic = Kernel()
    pair = Pictures(fine=picture(), tiny=picture(24, 24)[:18, :18])
    with pytest.raises(InputError, match=r"tiny \(18x18\) is too small for scale 4: .*'y' needs"):
        run([bicubic], pair, "2,4")
    with pytest.raises(InputError, match="no pictures in made"):
        run([bicubic], Pictures())
    with pytest.raises(InputError, match="differ in name, got bicubic, bicubic"):
        run([bicubic, bicubic])
    with pytest.raises(InputError, match="at least one method"):
        run([])
    assert not bicubic.calls


@pytest.mark.parametrize("label", ["1", "1.1", "2", "2.7", "3.5", "8"])
@pytest.mark.parametrize("protocol", ["y", "div2k"])
def test_the_smallest_picture_allowed(label, protocol):
    rules, at = get_protocol(protocol), scale(label)

    window = 2 * rules.border(at)[0] + 11
    least = next(n for n in range(200) if pair_sizes((n, n), at)[1][0] >= window)
    with pytest.raises(InputError, match=f"needs at least {least}x{least}"):
        run([Kernel("nearest")], Pictures(one=picture(84, 84)[: least - 1]), label, protocol)
    smallest = Pictures(one=picture(84, 84)[:least, :least])
    assert np.isfinite(run([Kernel("nearest")], smallest, label, protocol).rows[0].ssim)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((60, 47, 3), np.float32), r"returned \(60, 47, 3\) for one at scale 2"),
        (np.full((60, 48, 3), np.nan, np.float32), "not finite for one at scale 2"),
    ],
)
def test_a_broken_upscaler_is_no_low_score(answer, message):
    with pytest.raises(ValueError, match=message):
        run([Constant(answer)])


# Panels


def test_the_busiest_window_is_found():
    activity = np.zeros((40, 50))
    activity[0, 0] = 9.0  # in the border
    activity[20:24, 31:35] = 1.0
    assert panels.busiest_window(activity, (4, 4), (2, 2)) == (20, 31, 4, 4)
    assert panels.busiest_window(activity, (64, 8))[2:] == (40, 8)


def test_surroundings_stay_inside():
    assert panels.surroundings((90, 0, 8, 8), (40, 40), (100, 30)) == (60, 0, 40, 30)
    assert panels.surroundings((50, 50, 8, 8), (4, 20), (100, 100)) == (50, 44, 8, 20)


def test_panel_shows_the_pixels_that_were_scored(tmp_path):
    truth = picture(300, 290)
    damaged = truth.copy()
    damaged[100:110, 200:210] = 255 - damaged[100:110, 200:210]
    results = run(
        [Constant(damaged / np.float32(255), "bicubic"), Kernel("lanczos")],
        Pictures(**{"some where/name": truth}),
        panel_pictures=1,
    )
    (panel,) = results.panels
    assert [tile.label for tile in panel.tiles] == ["LR pixels", "bicubic", "lanczos", "truth"]
    assert panel.tiles[1].note == f"{results.rows[0].psnr_y:.2f} dB"
    row, col, rows, cols = panel.box
    shown, true = (panel.tiles[i].view[row : row + rows, col : col + cols] for i in (1, 3))
    assert (shown != true).any(axis=2).sum() == 100  # all of the damage is in the marked part

    path = panels.write_panel(tmp_path / "panels", panel)
    assert path.name == "00_some_where_name_x2.png"
    sheet = np.array(Image.open(path))
    magnified = true.repeat(panels.ZOOM, 0).repeat(panels.ZOOM, 1)
    assert (magnified == sheet[-12 - 256 : -12, -12 - 256 : -12]).all()


def test_panels_only_of_the_first_pictures():
    source = Pictures(a=picture(), b=picture(), c=picture())
    results = run([Kernel()], source, "2,3", panel_pictures=2)
    assert [panel.title for panel in results.panels] == ["a ×2", "a ×3", "b ×2", "b ×3"]


def test_enlargement_hides_its_surroundings():
    bicubic = Kernel()
    panel = enlargement([bicubic], picture(96, 96), "one", factor=12)
    assert panel.box is None
    assert [tile.view.shape for tile in panel.tiles] == [(384, 384, 3)] * 2
    rows, cols, *size = bicubic.calls[0]
    assert min(rows, cols) >= 48
    assert size == [rows * 12, cols * 12]
    assert panels.draw(panel).height > 384


# The report


@pytest.fixture(scope="module")
def results() -> Results:
    source = Pictures(**{"a<b": picture(), "c": picture(seed=3)})
    return run(
        [Kernel("nearest"), Kernel(), Compiled(name="net & co")],
        source,
        "2,3,2x3",
        panel_pictures=3,
    )


def test_report_is_whole_and_alone(tmp_path, results):
    last = enlargement([Kernel()], picture(), "a<b")
    facts = {"command": "python train.py --x='<y>'"}
    page = write_report(
        tmp_path / "new" / "report", results, title="A & B", facts=facts, enlargement=last
    )
    files = {str(path.relative_to(page.parent)) for path in page.parent.rglob("*.*")}
    assert {"index.html", "results.json", "results.md", "psnr_vs_scale.png"} <= files
    assert {"panels/00_a_b_x2.png", "panels/a_b_x12_magnified.png"} <= files
    assert [path.name for path in page.parent.parent.iterdir()] == ["report"]

    text = page.read_text(encoding="utf-8")
    assert "http" not in text
    assert "<link" not in text
    assert "<script" not in text
    sources = re.findall(r'src="([^"]{0,22})', text)
    assert len(sources) == 1 + 6 + 1
    assert set(sources) == {"data:image/png;base64,"}
    assert "<h1>A &amp; B</h1>" in text
    assert "<code>python train.py --x=&#x27;&lt;y&gt;&#x27;</code>" in text
    assert "a&lt;b ×2x3" in text
    assert text.count("net &amp; co") == 4  # once in each table
    assert results.protocol.description in text
    assert json.loads((page.parent / "results.json").read_text())["dataset"] == "made"


def test_report_replaces_a_report_and_nothing_else(tmp_path, results):
    folder = tmp_path / "report"
    write_report(folder, results, title="first", facts={})
    (folder / "panels" / "left_over.png").write_bytes(b"")
    page = write_report(folder, results, title="second", facts={})
    assert "second" in page.read_text(encoding="utf-8")
    assert not (folder / "panels" / "left_over.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]

    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "index.html").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        write_report(photos, results, title="", facts={})
    assert (photos / "index.html").read_text() == "mine"
    with pytest.raises(InputError, match="it is a file"):
        write_report(photos / "index.html", results, title="", facts={})


def test_failure_leaves_the_old_report(tmp_path, results, monkeypatch):
    folder = tmp_path / "report"
    write_report(folder, results, title="first", facts={})

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inr_sr.evaluation.report.write_plot", full)
    with pytest.raises(InputError, match="No space left"):
        write_report(folder, results, title="second", facts={})
    assert "first" in (folder / "index.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_plot_of_one_method_and_one_uneven_scale(tmp_path):
    only = run([Kernel("lanczos")], scales="2x3")
    page = write_report(tmp_path / "report", only, title="one", facts={})
    with Image.open(page.parent / "psnr_vs_scale.png") as plot:
        assert plot.width < 1000
