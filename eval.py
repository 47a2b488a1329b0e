"""Measures a model, and the classical methods beside it, at any scales.

    python eval.py --workdir=runs/quickstart --data=FOLDER --scales=2,2.7,3,4,8,2x3.5
    python eval.py --weights=compact --data=embedded --json=results.json --report=page

The tables go to standard output; --json and --report write files.
"""

import sys
from pathlib import Path

from absl import flags

from inr_sr import program
from inr_sr.devices import keep_compiled_programs
from inr_sr.errors import InputError

WORKDIR = flags.DEFINE_string(
    "workdir", None, "Work folder of a training run: its newest checkpoint."
)
BEST = flags.DEFINE_bool("best", False, "With --workdir: the checkpoint of the best validation.")
WEIGHTS = flags.DEFINE_string("weights", None, "Weights of the package, or a .safetensors file.")
DATA = flags.DEFINE_string("data", "embedded", "embedded, tfds:NAME, or a folder of images.")
SPLIT = flags.DEFINE_string("split", "test", "Split of the embedded images or of a TFDS set.")
SCALES = flags.DEFINE_string("scales", "2,2.7,3,4,8", "Scales; rows x columns where they differ.")
PROTOCOL = flags.DEFINE_string("protocol", "y", "How images are compared; docs/evaluation.md.")
BASELINES = flags.DEFINE_string("baselines", "bicubic", "bicubic, lanczos, nearest, box; or empty.")
ENSEMBLE = flags.DEFINE_bool("ensemble", False, "Average over the 8 flips and rotations.")
JSON = flags.DEFINE_string("json", None, "Writes all numbers to this file.")
REPORT = flags.DEFINE_string("report", None, "Writes a page with tables, plot and panels here.")


def main() -> int:
    """Returns the exit code."""
    keep_compiled_programs()
    from inr_sr.data.sources import open_source, source_name
    from inr_sr.evaluation.evaluate import evaluate
    from inr_sr.evaluation.protocols import get_protocol
    from inr_sr.evaluation.report import PANEL_IMAGES, check_replaceable, write_report
    from inr_sr.evaluation.results import write_json
    from inr_sr.files import check_file
    from inr_sr.imagefile import READABLE_SUFFIXES
    from inr_sr.reporting.progress import evaluation_bar
    from inr_sr.sizes import parse_scales
    from inr_sr.training.trained import load_network
    from inr_sr.upscaling import ResampleUpscaler, load

    workdir, weights = WORKDIR.value, WEIGHTS.value
    if bool(workdir) == bool(weights):
        raise InputError("give either --workdir=FOLDER or --weights=NAME|FILE")
    if BEST.value and weights:
        raise InputError("--best chooses a checkpoint of --workdir; weights are one already")
    if JSON.value is not None:
        if Path(JSON.value).suffix.lower() in READABLE_SUFFIXES:
            raise InputError(f"--json={JSON.value} has the name of an image file")
        check_file(JSON.value)
    if REPORT.value:
        check_replaceable(Path(REPORT.value))
    scales, protocol = parse_scales(SCALES.value), get_protocol(PROTOCOL.value)
    baselines = [ResampleUpscaler(name.strip()) for name in BASELINES.value.split(",") if name]
    source = open_source(DATA.value, SPLIT.value)
    if weights:
        network = load(weights, ensemble=ENSEMBLE.value)
    elif workdir:
        network = load_network(Path(workdir), best=BEST.value, ensemble=ENSEMBLE.value)
    with evaluation_bar() as progress:
        results = evaluate(
            [*baselines, network],
            source,
            scales,
            protocol,
            source_name(DATA.value),
            panel_images=PANEL_IMAGES if REPORT.value else 0,
            progress=progress,
        )
    print(results.to_markdown())
    if JSON.value is not None:
        write_json(Path(JSON.value), results)
    if REPORT.value:
        facts = {"command": program.command(), "parameters": f"{network.parameters:,}"}
        write_report(Path(REPORT.value), results, title=network.name, facts=facts)
    return 0


if __name__ == "__main__":
    with program.command_line():
        sys.exit(main())
