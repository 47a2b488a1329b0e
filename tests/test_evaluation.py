import json
import re

import numpy as np
import pytest
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.evaluation.protocols import get_protocol, pair_sizes
from inr_sr.evaluation.results import write_json, write_markdown
from tests.upscalers import Compiled, Constant, Images, Kernel, run, scale, smooth_image


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
    source = Images(**{f.stem: np.array(Image.open(f).convert("RGB")) for f in files})
    results = run([Kernel()], source, "2,3,4", protocol)
    found = [row.scores["psnr_y"] for row in results.rows]
    assert found == pytest.approx([33.66, 30.39, 28.42], abs=0.03)
    assert found == pytest.approx(expected, abs=1e-3)
    assert [row.scores["ssim"] for row in results.rows] == pytest.approx(
        [0.930, 0.869, 0.811], abs=1e-3
    )


def test_rows_are_means_of_their_images():
    source = Images(a=smooth_image(seed=1), b=smooth_image(49, 54, seed=2))
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
            values = [image.scores[field] for image in row.images]
            assert row.scores[field] == pytest.approx(np.mean(values), abs=1e-12)
        speeds = [image.seconds / image.megapixels for image in row.images]
        assert row.seconds_per_megapixel == pytest.approx(np.median(speeds))
        assert row.seconds == pytest.approx(np.median([image.seconds for image in row.images]))
    assert seen[-1] == (8, 8, "b ×2x2.5 nearest")
    bicubic, nearest = (results.row(method, scale("2")) for method in ("bicubic", "nearest"))
    assert bicubic.scores["psnr_y"] > nearest.scores["psnr_y"]
    assert bicubic.peak_mib is None or bicubic.peak_mib > 1


def test_a_mean_is_infinite_as_soon_as_one_image_is():
    truth = smooth_image()
    oracle = Constant(truth / np.float32(255), "oracle")
    (row,) = run([oracle], Images(same=truth, inverse=255 - truth)).rows
    same, inverse = (image.scores["psnr_y"] for image in row.images)
    assert (same, row.scores["psnr_y"]) == (np.inf, np.inf)
    assert np.isfinite(inverse)


def test_what_compiled_is_timed_again():
    plain, compiled = Kernel(name="plain"), Compiled(name="compiled")
    results = run(
        [plain, compiled], Images(a=smooth_image(), b=smooth_image(), c=smooth_image()), "2,3"
    )
    assert (len(plain.calls), len(compiled.calls)) == (6, 8)
    assert [results.row(name, scale("2")).parameters for name in results.methods] == [0, 1234]


def test_json_has_no_infinity(tmp_path):
    truth = smooth_image()
    oracle = Constant(truth / np.float32(255), "oracle")
    results = run([Kernel(), oracle], Images(one=truth))
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
    assert bicubic["images"][0]["psnr_y"] == results.rows[0].images[0].scores["psnr_y"]
    assert document["protocol"]["name"] == "y"
    assert {"version", "machine", "units"} <= set(document)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_markdown(tmp_path):
    truth = smooth_image()
    upscalers = [Kernel(), Kernel("lanczos"), Constant(truth / np.float32(255), "oracle")]
    results = run(upscalers, Images(one=truth))
    write_markdown(tmp_path / "results.md", results)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    row = results.rows[0]
    assert text.startswith("made, 1 image, protocol y: ")
    assert f"| bicubic | {row.scores['psnr_y']:.2f} / {row.scores['ssim']:.4f} |" in text
    assert "| oracle | **∞ / 1.0000** |" in text
    assert re.search(r"\| lanczos \| \+\d\.\d\d \|\n\| oracle \| – \|", text)


def test_mistakes_are_found_before_anything_is_upscaled():
    bicubic = Kernel()
    pair = Images(fine=smooth_image(), tiny=smooth_image(24, 24)[:18, :18])
    with pytest.raises(InputError, match=r"tiny \(18x18\) is too small for scale 4: .*'y' needs"):
        run([bicubic], pair, "2,4")
    with pytest.raises(InputError, match="no images in made"):
        run([bicubic], Images())
    with pytest.raises(InputError, match="differ in name, got bicubic, bicubic"):
        run([bicubic, bicubic])
    with pytest.raises(InputError, match="at least one method"):
        run([])
    assert not bicubic.calls


@pytest.mark.parametrize("label", ["1", "1.1", "2", "2.7", "3.5", "8"])
@pytest.mark.parametrize("protocol", ["y", "div2k"])
def test_the_smallest_image_allowed(label, protocol):
    rules, at = get_protocol(protocol), scale(label)

    window = 2 * rules.border(at)[0] + 11
    least = next(n for n in range(200) if pair_sizes((n, n), at)[1][0] >= window)
    with pytest.raises(InputError, match=f"needs at least {least}x{least}"):
        run([Kernel("nearest")], Images(one=smooth_image(84, 84)[: least - 1]), label, protocol)
    smallest = Images(one=smooth_image(84, 84)[:least, :least])
    assert np.isfinite(run([Kernel("nearest")], smallest, label, protocol).rows[0].scores["ssim"])


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
