"""`inr-sr diagnose`, and what it makes of measures."""

import dataclasses
import html
import json
import math
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from inr_sr import models
from inr_sr.cli import main
from inr_sr.data.sources import FolderSource
from inr_sr.sizes import Scale
from inr_sr.studies.diagnosis.ablations import Ablation
from inr_sr.studies.diagnosis.edge_crops import edge_crops
from inr_sr.studies.diagnosis.frequencies import Frequencies, FrequencyMatrix, Region
from inr_sr.studies.diagnosis.measures import Measures, measured
from inr_sr.studies.diagnosis.modulation import Modulation
from inr_sr.studies.diagnosis.output_quality import MethodQuality, OutputQuality
from inr_sr.studies.diagnosis.report import panels, write_diagnosis
from inr_sr.studies.diagnosis.suspects import SUSPECTS, verdicts
from inr_sr.studies.diagnosis.trained_network import Course, Recipe, TrainedNetwork
from inr_sr.studies.diagnosis.verdict import STATES
from inr_sr.training.checkpoints import CHECKPOINTS
from inr_sr.training.frequencies import RECORD, matrices
from tests.tiny import content, score, tiny, tiny_images, train

LP = {
    "model__encoder": "lp_tokens",
    "model__lp_tokens__width": 8,
    "model__lp_tokens__heads": 2,
    "model__lp_tokens__blocks": 1,
    "model__decoder": "modulated",
    "model__modulated__features": 8,
    "model__modulated__hidden": 8,
    "model__modulated__heads": 2,
    "model__modulated__max_scale": 2.0,
    "model__trained_size": 8,
    "data__candidates": 1,
    "train__steps": 4,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """photos/, small/ and run/: 4 steps of training on photos/, validated on them as well."""
    root = tmp_path_factory.mktemp("place")
    photos = tiny_images(root / "photos", 2)
    (root / "small").mkdir()
    Image.fromarray(np.zeros((15, 90, 3), np.uint8)).save(root / "small" / "a.png")
    train(tiny(photos, eval__dataset=str(photos), **LP), root / "run", score)
    return root


@pytest.mark.slow
def test_command_prints_verdicts_and_writes_a_page_that_is_whole_and_alone(place, capsys):
    run = place / "run"
    before = content(run)
    assert main(["diagnose", str(run)]) == 0
    *lines, page = capsys.readouterr().out.splitlines()
    assert len(lines) == len(SUSPECTS)
    states = [line.partition(":")[0] for line in lines]
    assert states == sorted(states, key=list(STATES.values()).index)
    assert Path(page) == (run / "diagnosis" / "index.html").resolve()
    assert {
        name: value for name, value in content(run).items() if "/diagnosis/" not in name
    } == before
    assert {path.name for path in (run / "diagnosis").iterdir()} == {"index.html", "measures.json"}

    text = Path(page).read_text(encoding="utf-8")
    assert "http" not in text
    assert "<script" not in text
    assert re.findall(r'src="([^"]{0,22})', text) == ["data:image/png;base64,"] * 5
    assert all(suspect.replace("'", "&#x27;") in text for suspect in SUSPECTS)
    assert "<dd>4 of 4</dd>" in text
    measures = json.loads((run / "diagnosis" / "measures.json").read_text())
    assert measures["scale"] == 4
    assert set(measures["frequencies"]["matrices"]) == {
        f"frequencies_{n}" for n in (0, 1, 2, "query")
    }
    assert measures["frequencies"]["gradient_ratio"] > 0
    # It began as bicubic, and 4 steps change little.
    assert measures["output"]["network"]["psnr"] == pytest.approx(
        measures["output"]["bicubic"]["psnr"], abs=1
    )
    assert measures["shuffled"]["change"] < 0.01
    assert_tables_hold(measures, tables(html.unescape(text)))

    assert main(["diagnose", str(run), "--scale=2.5", "--data", str(place / "photos")]) == 0
    assert json.loads((run / "diagnosis" / "measures.json").read_text())["scale"] == 2.5


def tables(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Of a page, by the first word of its title: name of the row, head of the column, cell."""
    found = {}
    for table in re.findall(r"<table>.*?</table>", text, re.DOTALL):
        title = re.search(r"<caption>(\w+)", table)
        head = re.findall(r'<th scope="col">(.*?)</th>', table)
        rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table)
        found[title[1]] = {
            name: dict(zip(head[1:], re.findall(r"<td[^>]*>(.*?)</td>", cells), strict=True))
            for name, cells in rows
        }
    return found


def assert_tables_hold(measures: dict, shown: dict) -> None:
    """The numbers of measures.json that the page is to show, each under the head that it is of."""
    assert set(shown) == {"Output", "Ablations", "Frequencies", "Attention", "Modulation"}
    for method in ("network", "bicubic"):
        values, cells = measures["output"][method], list(shown["Output"][method].values())
        names = ("psnr", "lr_psnr", "energy", "mean_coherence", "slope")
        assert [float(x) for x in cells] == pytest.approx([values[n] for n in names], abs=0.006)
    for name, ablation in (("tokens shuffled", "shuffled"), ("modulation 0", "zeroed")):
        change, fall, energy = (float(x) for x in shown["Ablations"][name].values())
        values = measures[ablation]
        assert change == pytest.approx(255 * values["change"], abs=0.006)
        assert (fall, energy) == pytest.approx((values["psnr_fall"], values["energy"]), abs=0.006)
    together, cells = measures["frequencies"]["together"], shown["Frequencies"]["all that draw"]
    quantiles = list(cells.values())[1:7]
    assert [float(x) for x in quantiles] == pytest.approx(
        [together["length"][q] for q in ("0.05", "0.25", "0.5", "0.75", "0.95", "max")], abs=1e-4
    )
    assert cells["beyond LR Nyquist"] == f"{together['beyond_lr']:.0%}"
    assert cells["beyond output's"] == f"{together['beyond_output']:.0%}"
    assert float(cells["moved"]) == pytest.approx(together["moved"], abs=6e-4)
    assert float(cells["closest pair"]) == pytest.approx(together["closest"], abs=6e-5)
    assert cells["effective rank"].startswith(f"{together['effective_rank']:.1f} of ")
    entropy = [float(row["entropy / log k"]) for row in shown["Attention"].values()]
    assert entropy == pytest.approx(measures["modulation"]["entropy"], abs=6e-4)
    for name, row in shown["Modulation"].items():
        found = list(measures["modulation"]["steepness"][name].values())
        assert [float(x) for x in row.values()] == pytest.approx(found, abs=6e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none is no work folder: it holds no config.json"),
        (["photos"], "photos is no work folder"),
        (["run", "--scale=1"], "scale 1 is not allowed: a diagnosis needs one above 1"),
        (["run", "--scale=0.5"], "scale 0.5 is not allowed: a diagnosis needs one above 1"),
        (["run", "--scale=2x3"], "scale 2x3 is not allowed"),
        (["run", "--scale=x"], "scale 'x' is not allowed"),
        (["run", "--data=none"], "there is no folder none"),
        (["run", "--data=small"], "every image of small is smaller than 32x32"),
        (["run", "--data=photos", "--scale=8"], "every image of photos is smaller than 64x64"),
        (["run", "photos"], "unrecognized arguments: photos"),
        (["begun"], "no checkpoint"),
        (["earlier"], f"no record of its initial frequencies ({RECORD})"),
        (["other"], "frequencies_0 has 3 waves there and 4 in its checkpoint"),
        (["taken"], "cannot write a diagnosis to"),
    ],
)
def test_bad_requests_are_answered_in_a_line_and_write_nothing(
    place, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(place)
    run = Path(arguments[0])
    if arguments[0] in ("begun", "earlier", "other", "taken"):
        shutil.copytree("run", run, ignore=shutil.ignore_patterns("diagnosis"))
    if arguments[0] == "begun":
        shutil.rmtree(run / CHECKPOINTS)
    if arguments[0] == "earlier":
        (run / RECORD).unlink()
    if arguments[0] == "other":
        first = {**load_file(run / RECORD), "frequencies_0": np.zeros((3, 2), np.float32)}
        save_file(first, run / RECORD)
    if arguments[0] == "taken":
        (run / "diagnosis").mkdir()
        (run / "diagnosis" / "index.html").write_text("mine")
    before = content(run)
    assert main(["diagnose", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert content(run) == before


@pytest.mark.slow
def test_too_little_memory_is_reported_in_a_line(place, monkeypatch, capsys):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr("inr_sr.studies.diagnosis.diagnose.measured", full)
    before = content(place / "run")
    assert main(["diagnose", str(place / "run")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "diagnose at a smaller --scale" in err
    assert content(place / "run") == before


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["spectral", "liif", "pixel_shuffle"])
def test_what_a_decoder_lacks_is_reported_and_the_rest_is_measured(place, tmp_path, decoder):
    config = tiny(model__decoder=decoder, model__liif__width=8, model__liif__layers=2)
    config.model.pixel_shuffle.scale = 2
    model = models.build(config.model)
    params = jax.jit(lambda key: models.init(model, key))(jax.random.key(0))
    params = jax.tree.map(lambda p: p + 0.05, params)
    now = {name: np.asarray(b) for name, b in matrices(params, model.labels(params)).items()}
    network = TrainedNetwork(config, 7, model, params, now, now, [])
    scale = Scale(2.0, 2.0, "2")
    crops = edge_crops(FolderSource(place / "photos"), scale, config.data.patch, "photos")
    measures, outputs, bicubic = measured(network, crops, scale)
    assert measures.modulation is None
    assert (measures.frequencies is None) == (decoder != "spectral")
    assert math.isnan(measures.output.same_size) == (decoder == "pixel_shuffle")
    assert measures.zeroed.change > 0
    found = verdicts(measures)
    absent = {suspect for suspect, verdict in found.items() if verdict.state == "absent"}
    assert len(absent) >= (3 if decoder == "spectral" else 8)
    assert all(decoder in v.sentence for name, v in found.items() if name.startswith("Attention"))
    for verdict in found.values():  # advice is for this decoder
        assert "model.modulated" not in verdict.remedy
    assert "its features" in found["Tokens that are not used"].sentence
    page = write_diagnosis(tmp_path, measures, found, panels(crops, outputs, bicubic), {})
    assert f"The decoder {decoder} has no modulation" in page.read_text()
    json.loads((page.parent / "measures.json").read_text())


COMMON = {
    "parameters": 6, "skip": True, "targets": "hr", "jitter": 0.0,
    "sides": (8,), "scales": (1.0, 2.0), "losses": {"l1": 1.0}, "step": 1, "steps": 24,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "recipe", "region"),
    [
        (
            {"model__skip": False, "model__modulated__initialisation": "inverse_sigma",
             "model__modulated__bands": (64.0,), "model__modulated__frame": "picture",
             "data__targets": "lr", "loss__l1": 0.0, "loss__mse": 2.0},
            {"decoder": "modulated", "initialisation": "inverse_sigma", "skip": False,
             "targets": "lr", "scales": (1.0, 1.0), "losses": {"mse": 2.0}},
            Region("the whole patch, 8 LR pixels a side", 0.0, 8.0),
        ),
        (
            {"data__jitter": 0.5, "data__targets": "raw_hr", "data__other_patches": (4, 6),
             "adversarial__weight": 0.1, "train__steps": 9},
            {"decoder": "modulated", "initialisation": "annulus", "jitter": 0.5,
             "targets": "raw_hr", "sides": (8, 6, 4), "losses": {"l1": 1.0, "adversarial": 0.1},
             "steps": 9},
            Region("one cell of the tokens, 4 LR pixels a side", -2.0, 4.0),
        ),
        (
            {"model__encoder": "edsr", "model__decoder": "spectral", "train__steps": 24},
            {"decoder": "spectral", "initialisation": ""},
            Region("one LR pixel", -0.5, 1.0),
        ),
        (
            {"model__encoder": "edsr", "model__decoder": "pixel_shuffle", "train__steps": 24},
            {"decoder": "pixel_shuffle", "initialisation": "", "scales": (4.0, 4.0)},
            None,
        ),
    ],
)  # fmt: skip
def test_recipe_and_region_are_those_of_the_training_run(changes, recipe, region):
    config = tiny(**{**LP, "train__steps": 24, "model__lp_tokens__spacing": 4, **changes})
    params = {"decoder": {"kernel": np.zeros((2, 3))}, "encoder": {"kernel": np.zeros(7)}}
    network = TrainedNetwork(config, 1, models.build(config.model), params, {}, {}, [])
    assert Recipe.of(network) == Recipe(**{**COMMON, **recipe})
    assert network.region == region


def healthy() -> Measures:
    """Of a network that nothing is wrong with."""
    points = np.ones((4, 2))
    waves = FrequencyMatrix(
        first=points, now=points, moved=0.05, length={"0.95": 1.9, "max": 2.0}, beyond_lr=0.8,
        beyond_output=0.0, beyond_trained=0.0, closest=0.1, gap=0.2, effective_rank=6.0, most=8.0,
    )  # fmt: skip
    line = np.ones(3)
    steep = {"median": 0.1, "0.95": 0.2}
    network = MethodQuality(
        line, line, energy=0.3, mean_coherence=0.5, slope=0.9, psnr=30.0, lr_psnr=48.0
    )
    bicubic = MethodQuality(
        line, line, energy=0.02, mean_coherence=0.1, slope=1.5, psnr=28.0, lr_psnr=38.0
    )
    ablation = Ablation(change=0.05, psnr_fall=3.0, power=line, energy=0.1)
    return Measures(
        4.0,
        Recipe(**{**COMMON, "decoder": "modulated", "initialisation": "annulus",
                  "scales": (1.0, 4.0), "step": 24}),
        Course(500, 1000, 0.03),
        Frequencies(Region("a cell", -2.0, 4.0), {"frequencies_0": waves}, waves, 0.1),
        Modulation(
            steepness={"largest": steep, "smallest": steep}, rate=0.12, frequency=line, power=line,
            beyond_lr=0.02, entropy=np.array([0.5, 1.0]), distance=np.array([3.0, 9.0]),
            tau=line, attended=9, spacing=4,
        ),
        OutputQuality(line, line, 0.2, network, bicubic, same_size=45.0),
        ablation,
        ablation,
    )  # fmt: skip


def changed(measures: Measures, path: str, value: object) -> Measures:
    """With "output.network.energy" or such replaced."""
    head, _, rest = path.partition(".")
    new = changed(getattr(measures, head), rest, value) if rest else value
    return dataclasses.replace(measures, **{head: new})


def states(*changes: tuple[str, object]) -> dict[str, str]:
    measures = healthy()
    for path, value in changes:
        measures = changed(measures, path, value)
    return {suspect: verdict.state for suspect, verdict in verdicts(measures).items()}


SIZE = "Decoder that is too small"  # which one network cannot show


def test_a_network_that_nothing_is_wrong_with_has_no_cause():
    found = states()
    assert set(found) == set(SUSPECTS)
    assert found.pop(SIZE) == "unknown"
    assert set(found.values()) == {"fine"}


LOW = ("frequencies.together.beyond_lr", 0.0)


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ([("recipe.targets", "lr")], ["Targets without detail"]),
        ([("recipe.targets", "pseudo_hr")], ["Targets without detail"]),
        ([("recipe.targets", "raw_hr"), ("recipe.jitter", 0.5)], ["Targets without detail"]),
        ([("recipe.scales", (1.0, 1.0))],
         ["Scales that were not trained", "Queries that fall on few places"]),
        ([("recipe.scales", (1.0, 1.0)), ("recipe.jitter", 1.0)],
         ["Scales that were not trained"]),
        ([("recipe.scales", (4.0, 4.0))], []),
        ([("recipe.scales", (1.0, 3.0))], ["Scales that were not trained"]),
        ([("course.gain", 0.06)], ["Training that ended too soon"]),
        ([("course.gain", -0.2)], []),
        ([("frequencies.together.length", {"0.95": 0.06, "max": 0.1})],
         ["Frequencies that vanish"]),
        ([("frequencies.together.length", {"0.95": 0.07, "max": 0.1})], []),
        ([LOW], ["No frequency beyond LR Nyquist"]),
        ([LOW, ("frequencies.together.moved", 0.001)],
         ["No frequency beyond LR Nyquist", "Frequencies that did not move"]),
        ([("frequencies.together.moved", 0.001)], []),
        ([("frequencies.together.effective_rank", 1.9)], ["Waves that are alike"]),
        ([("frequencies.together.gap", 0.26)], ["Too few waves to resolve details"]),
        ([("frequencies.together.beyond_trained", 0.3)], ["Waves beyond the output's Nyquist"]),
        ([("modulation.rate", 0.03)], []),  # the waves carry the detail
        ([LOW, ("modulation.rate", 0.03)],
         ["No frequency beyond LR Nyquist", "Modulation that is too smooth"]),
        ([("modulation.rate", math.nan)], ["Modulation that is too smooth"]),
        ([("modulation.entropy", np.array([0.96, 0.99]))],
         ["Attention that does not discriminate"]),
        ([("modulation.distance", np.array([8.5, 9.0]))], ["Attention that reaches too far"]),
        ([("shuffled.change", 0.003)], ["Tokens that are not used"]),
        ([("recipe.skip", False)], []),
        ([("recipe.skip", False), ("output.same_size", 30.0)], ["No bicubic skip"]),
        ([("output.network.slope", 0.4)], ["Detail that is invented"]),
        ([("output.network.lr_psnr", 36.0)], ["Output that contradicts the LR image"]),
        ([("output.network.energy", 0.03), ("output.network.slope", 0.1)],
         ["No detail in the output"]),
    ],
)  # fmt: skip
def test_a_cause_is_found_where_it_is_and_nowhere_else(changes, causes):
    found = states(*changes)
    assert [suspect for suspect, state in found.items() if state == "cause"] == causes


@pytest.mark.parametrize(
    ("changes", "suspects"),
    [
        ([("course.gain", math.nan)], {"Training that ended too soon"}),
        ([("course.gain", 0.06), ("recipe.step", 23)], {"Training that ended too soon"}),
        ([("recipe.losses", {"mse": 1.0})], {"Squared errors alone"}),
        ([("recipe.losses", {"mse": 1.0, "adversarial": 0.1})], set()),
        ([("frequencies.together.moved", math.nan)], {"Frequencies that did not move"}),
        ([("output.network.energy", math.nan)],
         {"No detail in the output", "Detail that is invented"}),
        ([("recipe.skip", False), ("output.same_size", math.nan)], {"No bicubic skip"}),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_no_cause(changes, suspects):
    found = states(*changes)
    assert {suspect for suspect, state in found.items() if state == "unknown"} == {SIZE, *suspects}
    assert "cause" not in found.values()


def test_one_token_leaves_nothing_to_discriminate():
    found = states(("modulation.attended", 1), ("modulation.entropy", np.full(2, math.nan)))
    assert found["Attention that does not discriminate"] == "absent"


def test_inverse_sigma_is_named_where_frequencies_vanish():
    measures = changed(healthy(), "recipe.initialisation", "inverse_sigma")
    assert not any("inverse_sigma" in v.sentence for v in verdicts(measures).values())
    low = changed(measures, "frequencies.together.length", {"0.95": 0.01, "max": 0.01})
    assert "inverse_sigma" in next(iter(verdicts(low).values())).sentence
