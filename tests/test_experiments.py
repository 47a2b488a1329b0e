"""Experiments of tiny runs, in a folder with the layout of a clone."""

import importlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.evaluation.protocols import make_pair
from inr_sr.files import locked
from inr_sr.sizes import parse_scales
from inr_sr.studies.experiments.__main__ import main
from inr_sr.studies.experiments.experiment import Experiment, load
from inr_sr.studies.experiments.runs import identity, plan, seconds_left
from inr_sr.studies.experiments.scoring import HeldOut, arrangement
from inr_sr.training.checkpoints import CHECKPOINTS, latest_step
from inr_sr.training.loop import Interrupted
from inr_sr.training.metric_writer import METRICS, rows
from inr_sr.training.trained import load_average
from tests.tiny import content, environment, score, stop_when, tiny, tiny_images

EXPERIMENT = '''
from inr_sr.studies.experiments.experiment import Experiment
from tests.tiny import tiny

def get_experiment():
    def arm(**changes):
        return tiny(train__steps={steps}, train__checkpoint_every=6, **changes)

    return Experiment(
        question="""Which of
            them?""",
        prediction="None.",
        reference="plain",
        arms={{"plain": arm(), {arms}}},
        fewer={fewer},
        controls={controls},
        against={against},
        scales=(2, 4),
        lr_size=8,
    )
'''
SHUFFLE = (
    '"shuffle": arm(model__decoder="pixel_shuffle", model__pixel_shuffle__scale=2, '
    "data__min_scale=2.0)"
)
WILD = '"wild": arm(optimizer__learning_rate=1e30)'


def write_experiment(name, arms, fewer="{}", controls="()", against="{}", steps=12):
    folder = Path("configs", "experiments")
    folder.mkdir(parents=True, exist_ok=True)
    given = {"fewer": fewer, "controls": controls, "against": against}
    (folder / f"{name}.py").write_text(EXPERIMENT.format(arms=arms, steps=steps, **given))


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """Images to train on, others to test on, and no experiment yet."""
    tiny_images(tmp_path / "sharp", 2)
    tiny_images(tmp_path / "held_out", 2)
    small = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(small).save(tmp_path / "held_out" / "small.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return main([*arguments, "--train=sharp", "--test=held_out", "--workdir=work"])


def trained(folder: Path) -> dict[str, int]:
    """When each run last saved its record."""
    records = folder.glob("runs/*/record.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in records}


def cells(text: str, arm: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {arm}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.slow
def test_runs_shares_reports_and_keeps_what_is_written_by_hand(clone, capsys):
    arms = '"fast": arm(optimizer__learning_rate=3e-3), "again": arm()'
    write_experiment("e1_rate", arms, '{"again": (0,)}', against='{"again": "fast"}')
    one_seed = '{"shuffle": (0,), "wild": (1,)}'
    write_experiment("e10_others", f"{SHUFFLE}, {WILD}", one_seed, '("wild",)')
    assert run("--only-report", "all") == 0
    said = capsys.readouterr().err
    assert "e1_rate: missing fast, seeds 0, 1, 2\n" in said
    assert "e10_others: missing shuffle, seed 0\n" in said
    assert "e1_rate: left out at x4 as too small: small.png" in said
    assert not Path("work").exists()
    assert not Path("docs").exists()

    Path("docs").mkdir()
    document = Path("docs", "experiments.md")
    document.write_text("# By hand\n\nAbove.\n")
    assert run("e1_rate") == 0
    first = trained(Path("work"))
    assert len(first) == 6
    text = document.read_text()
    assert str(clone) not in text
    check_section(text)
    check_numbers(text)

    # What is written by hand stays, and nothing finished is trained again.
    verdict = "<!-- e1_rate verdict -->\nNone, as predicted.\n<!-- /e1_rate verdict -->"
    empty = "<!-- e1_rate verdict -->\n<!-- /e1_rate verdict -->"
    assert empty in text
    by_hand = text.replace(empty, verdict).replace("Which of them?", "stale") + "\nBelow.\n"
    document.write_text(by_hand)
    capsys.readouterr()
    assert run("all") == 0
    assert "e10_others: wild, seed 1 failed: " in capsys.readouterr().err
    before, after = document.read_text().split("<!-- e10_others -->")
    assert before == text_of(by_hand).replace("stale", "Which of them?")
    assert "`wild` failed with seed 1: " in after
    assert cells(after, "`wild` (control)")[4:7] == ["–", "–", "–"]
    assert cells(after, "`shuffle`")[5:7] == ["–", "–"]
    assert cells(after, "`shuffle`")[4] != "–"
    now = trained(Path("work"))
    assert {name: now[name] for name in first} == first
    assert len(now) == 8
    unchanged = content(clone)
    assert main(["--train=sharp", "--workdir=work"]) == 0
    listed = capsys.readouterr().out
    assert "e1_rate: Which of them?\n    arms: plain, fast, again\n    runs: 7 of 7 done" in listed
    assert listed.index("e1_rate") < listed.index("e10_others")
    assert content(clone) == unchanged


def check_section(text: str) -> None:
    """What the section of e1_rate says, and its charts."""
    assert text.startswith("# By hand\n\nAbove.\n\n<!-- e1_rate -->\n## e1_rate\n")
    assert "**Question.** Which of them?\n" in text
    command = (
        "python -m inr_sr.studies.experiments e1_rate --train=FOLDER/sharp --test=FOLDER/held_out"
    )
    assert command in text
    assert "Not complete" not in text
    assert "Trained on sharp, 12 steps, seeds 0, 1, 2; " in text
    assert "(5 at ×2, 2 at ×4)" in text
    assert "Too small at ×4: small.png." in text
    plain, fast = cells(text, "`plain`"), cells(text, "`fast`")
    assert plain[1] == "3"
    assert plain[6] == "reference"
    assert re.fullmatch(r"[+-]0\.\d{3} \[[+-]0\.\d{3}, [+-]0\.\d{3}\]", fast[6])
    assert cells(text, "`again`")[6].endswith("], 1 of 3 seeds to `fast`")
    assert "An interval of one seed is of photos alone." in text
    assert "less that of `plain`, or of the arm that is named, at ×4" in text
    differences = Path("docs", "experiments", "e1_rate.svg").read_text()
    assert differences.count("×") == 2
    assert "again, one seed, to fast" in differences
    spectra = Path("docs", "experiments", "e1_rate_spectra.svg").read_text()
    assert {"plain", "fast", "again", "bicubic"} <= set(re.findall(r">(\w+)</text>", spectra))


def check_numbers(text: str) -> None:
    """Those of e1_rate, once more from the scores of its runs."""
    results = json.loads(Path("work", "e1_rate", "results.json").read_text())
    of_fast = results["arms"][1]
    finished = rows_of(Path("work", "e1_rate", "runs.jsonl"))
    assert [(row["arm"], row["seed"]) for row in finished] == [
        (arm, seed) for seed in range(3) for arm in ("plain", "fast", "again")[: 2 + (seed == 0)]
    ]
    scored = {
        (row["arm"], row["seed"]): json.loads(next(found.glob("*_x4.json")).read_text())
        for row in finished
        if (found := Path("work", "runs", row["run"], "scores"))
    }
    gains = {
        key: np.subtract(entry["network"]["psnr_y"], entry["bicubic"]["psnr_y"])
        for key, entry in scored.items()
    }
    assert of_fast["gains"]["4"] == pytest.approx([gains["fast", s].mean() for s in range(3)])
    difference = np.mean([gains["fast", s] - gains["plain", s] for s in range(3)])
    assert of_fast["differences"]["4"]["mean"] == pytest.approx(difference)
    once = np.mean(gains["plain", 0] - gains["fast", 0])
    assert results["arms"][2]["differences"]["4"]["mean"] == pytest.approx(once)
    low, high = (of_fast["differences"]["4"][name] for name in ("low", "high"))
    assert low < difference < high
    fast = cells(text, "`fast`")
    assert fast[6].startswith(f"{difference:+.3f} ")
    assert fast[3] == f"{np.mean([r['seconds'] for r in finished if r['arm'] == 'fast']) / 60:.1f}"
    spectrum = scored["fast", 0]["network"]["spectrum"]
    assert spectrum["frequency"][-1] == 2
    assert 0 < spectrum["energy_ratio"] < 1


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_embedded_images_are_the_same_however_they_are_named(clone):
    write_experiment("e1_alone", "")
    experiment = load(["e1_alone"])["e1_alone"]
    own, named = (plan(experiment, Path("work"), name) for name in ("", "embedded"))
    assert [run.folder for run in own] == [run.folder for run in named]


@pytest.mark.slow
def test_one_experiment_that_cannot_resume_leaves_the_list_of_the_others(clone, capsys):
    write_experiment("e1_odd", '"odd": arm(train__ema=2.0)')
    write_experiment("e2_good", "")
    assert main(["--train=sharp", "--workdir=work"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "    cannot go on: arm 'odd': train.ema 2.0 must be at least 0 and below 1"
    assert lines[5].startswith("    runs: 0 of 3 done")


def text_of(document: str) -> str:
    """The document before a section that is appended to it."""
    return document.rstrip("\n") + "\n\n"


@pytest.mark.slow
def test_a_run_of_another_process_is_left_to_it(clone, capsys):
    write_experiment("e1_alone", "", steps=6)
    runs = plan(load(["e1_alone"])["e1_alone"], Path("work"), "sharp")
    with locked(runs[1].folder):
        assert run("e1_alone") == 0
    said = capsys.readouterr().err
    assert "e1_alone: plain, seed 1 is left to another process\n" in said
    assert "e1_alone: missing plain, seed 1\n" in said
    assert "`plain` lacks seed 1." in Path("docs", "experiments.md").read_text()
    assert run("e1_alone") == 0
    assert "Not complete" not in Path("docs", "experiments.md").read_text()


@pytest.mark.slow
def test_a_limit_stops_between_and_within_runs(clone, capsys):
    write_experiment("e1_alone", "")
    assert run("e1_alone", "--limit-minutes=0.00001") == 0
    assert "no run is finished" in capsys.readouterr().err
    assert not Path("docs").exists()
    assert main(["--train=sharp", "--workdir=work"]) == 0
    assert "0 of 3 done, time left unknown" in capsys.readouterr().out

    runs = plan(load(["e1_alone"])["e1_alone"], Path("work"), "sharp")
    for step in (2, 4):  # a dispatch each
        before = runs[0].record.seconds if runs[0].record else 0.0
        with pytest.raises(Interrupted, match=f"stopped at step {step} of 12, saved"):
            runs[0].train(score, deadline=time.monotonic())
        assert runs[0].step == step
        assert runs[0].left
        assert runs[0].record.seconds > before
    pace = runs[0].record.seconds / 4
    assert seconds_left(runs) == pytest.approx((8 + 12 + 12) * pace)
    runs[0].train(score)
    assert runs[0].finished
    capsys.readouterr()
    assert run("e1_alone", "--only-report") == 0
    assert "e1_alone: missing plain, seeds 1, 2\n" in capsys.readouterr().err
    text = Path("docs", "experiments.md").read_text()
    assert "**Not complete.** `plain` lacks seeds 1, 2." in text
    assert "±" not in cells(text, "`plain`")[4]
    assert cells(text, "`plain`")[1] == "1"
    assert "alone.svg" not in text


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "inr_sr.studies.experiments", *arguments]
    given = ["--train=sharp", "--test=held_out", "--workdir=work"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, *given], env=environment(), stdout=pipe, stderr=pipe, text=True
    )


@pytest.mark.slow
def test_an_interrupted_and_killed_run_resumes_bit_identically(clone):
    write_experiment("e1_alone", "", steps=30)

    def saved() -> int:
        return sum(latest_step(p) or 0 for p in Path("work").glob(f"runs/*/{CHECKPOINTS}"))

    code, stderr = stop_when(start("e1_alone"), lambda: saved() > 0, signal.SIGINT)
    assert code == 130, stderr
    # The second where the signal came between two runs.
    last = r"(stopped at step \d+ of 30, saved; the same command goes on from there|interrupted)"
    assert re.fullmatch(last, stderr.splitlines()[-1])
    stopped = saved()
    code, _ = stop_when(start("e1_alone"), lambda: saved() > stopped, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert run("e1_alone") == 0
    assert main(["e1_alone", "--train=sharp", "--test=held_out", "--workdir=whole"]) == 0
    names = sorted(path.name for path in Path("work", "runs").iterdir())
    assert names == sorted(path.name for path in Path("whole", "runs").iterdir())
    assert len(names) == 3
    for name in names:
        one, other = Path("work", "runs", name), Path("whole", "runs", name)
        assert rows(one / METRICS) == rows(other / METRICS)
        jax.tree.map(np.testing.assert_array_equal, load_average(one)[2], load_average(other)[2])
    tables = [
        json.loads(Path(w, "e1_alone", "results.json").read_text()) for w in ("work", "whole")
    ]
    assert tables[0]["arms"][0]["gains"] == tables[1]["arms"][0]["gains"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["e2_none"], "unknown experiment 'e2_none'; there are: e1_good, e3_bad, e4_arm, e5_"),
        (["e3_bad"], "e3_bad.py: there is no arm 'nobody'; arms: plain"),
        (["e4_arm"], "e4_arm: arm 'odd': train.ema 2.0 must be at least 0 and below 1"),
        (["e5_square"], "arm 'odd': data.layout 'square' needs data.queries to be a square"),
        (["e6_loss"], "arm 'odd': loss.fourier needs data.layout = 'square'"),
        (["e1_good", "--test=none"], "there is no folder none"),
        (["e1_good", "--train=held_out/none"], "there is no folder held_out/none"),
        (["e1_good", "--test=small"], "every image of small is smaller than the crops of 32x32"),
        (["e1_good", "--docs=torn"], "<!-- e1_good --> and <!-- /e1_good --> must be there once"),
        (["e1_good", "--limit-minutes=0"], "'0' is not allowed; expected a number above 0"),
        (["e1_good", "--limit"], "unrecognized arguments: --limit"),
    ],
)
def test_a_mistake_is_one_line_and_touches_nothing(clone, capsys, arguments, message):
    write_experiment("e1_good", "")
    write_experiment("e3_bad", "", controls='("nobody",)')
    write_experiment("e4_arm", '"odd": arm(train__ema=2.0)')
    write_experiment("e5_square", '"odd": arm(data__layout="square", data__queries=7)')
    write_experiment("e6_loss", '"odd": arm(loss__fourier=1.0)')
    Path("configs", "experiments", "base.py").write_text("raise RuntimeError")
    Path("small").mkdir()
    Path("held_out", "small.png").rename(Path("small", "small.png"))
    Path("torn").mkdir()
    Path("torn", "experiments.md").write_text("<!-- e1_good -->\n")
    before = content(clone)
    given = ["--train=sharp", "--test=held_out", "--workdir=work"]
    assert main([*given, *arguments]) == 2
    assert re.fullmatch(rf"error: .*{re.escape(message)}.*\n", capsys.readouterr().err)
    assert content(clone) == before


def test_outside_a_clone_there_are_no_experiments(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "run this from the root of a clone" in capsys.readouterr().err


def test_the_old_command_names_the_new_one():
    done = subprocess.run(
        [sys.executable, "-m", "inr_sr.experiments", "all"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: python -m inr_sr.experiments is now python -m inr_sr.studies.experiments\n"
    )
    with pytest.raises(ImportError, match=r"is now inr_sr\.studies\.experiments"):
        importlib.import_module("inr_sr.experiments")


def test_experiments_come_in_the_requested_order(clone):
    for name in ("e1_a", "e2_b", "e10_c"):
        write_experiment(name, "")
    assert list(load(["e10_c", "e1_a", "e10_c"])) == ["e10_c", "e1_a"]
    assert list(load(["e2_b", "all"])) == ["e1_a", "e2_b", "e10_c"]


def test_what_an_experiment_refuses():
    arms = {"a": tiny(), "b": tiny()}
    common = {"question": "", "prediction": "", "reference": "a", "arms": arms}
    for changes, message in (
        ({"reference": "c"}, "no arm 'c'"),
        ({"seeds": (0, 1)}, "at least 3"),
        ({"seeds": (0, 1, 1)}, "differ"),
        ({"fewer": {"b": (7,)}}, "must be some of"),
        ({"against": {"b": "c"}}, "no arm 'c'"),
        ({"against": {"b": "b"}}, "arm 'b' cannot be compared with itself"),
        ({"scales": (2, 3)}, "must have 4 among them"),
        ({"arms": {"a": tiny(init="compact")}}, "must be empty"),
    ):
        with pytest.raises(InputError, match=message):
            Experiment(**{**common, **changes})
    assert Experiment(**common, fewer={"b": (2, 0)}).seeds_of("b") == (0, 2)


def test_runs_of_different_configurations_have_different_names():
    one = identity(tiny("here"), "images")
    assert one == identity(tiny("there", eval__during="3", train__log_every=1), "images")
    others = {
        identity(tiny("here"), "others"),
        identity(tiny(), "images"),
        identity(tiny("here", seed=1), "images"),
        identity(tiny("here", optimizer__frequency_multiplier=2.0), "images"),
        identity(tiny("here", model__spectral__frequencies=(2, 2, 3)), "images"),
    }
    assert len(others | {one}) == 6


@pytest.mark.parametrize(
    ("size", "places"),
    [
        ((20, 21), [(5, 0), (5, 10)]),
        ((19, 45), [(4, 12), (4, 22)]),
        ((31, 12), [(5, 1), (15, 1)]),
        ((10, 19), [(0, 4)]),
    ],
)
def test_crops_lie_side_by_side_in_the_centre(size, places):
    assert arrangement(size, 10) == places


def test_crops_are_of_exactly_as_many_lr_pixels_at_any_scale(clone):
    for scale in parse_scales("2,2.7,3.3"):
        crops = HeldOut("held_out").crops(scale, 8)
        for index in range(len(crops)):
            assert make_pair(crops[index], scale)[0].shape == (8, 8, 3)
    named = ["0.png 0", "0.png 1", "1.png 0", "1.png 1"]
    assert [crops.name(i) for i in range(len(crops))] == named
