import json
import re

import pytest
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import magnified_detail
from inr_sr.evaluation.report import write_report
from inr_sr.evaluation.results import Results
from tests.upscalers import Compiled, Images, Kernel, run, smooth_image


@pytest.fixture(scope="module")
def results() -> Results:
    source = Images(**{"a<b": smooth_image(), "c": smooth_image(seed=3)})
    return run(
        [Kernel("nearest"), Kernel(), Compiled(name="net & co")],
        source,
        "2,3,2x3",
        panel_images=3,
    )


def test_report_is_whole_and_alone(tmp_path, results):
    last = magnified_detail([Kernel()], smooth_image(), "a<b")
    facts = {"command": "python train.py --x='<y>'"}
    page = write_report(
        tmp_path / "new" / "report", results, title="A & B", facts=facts, magnified=last
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
