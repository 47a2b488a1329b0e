"""Runs experiments: trains what is left of them, and writes the results.

    python -m inr_sr.studies.experiments                      lists them and their progress
    python -m inr_sr.studies.experiments e6_frequency_rate    trains, resumes, reports
    python -m inr_sr.studies.experiments all --limit-minutes=480

Run it from the root of a clone. Interrupt it at any time: the same command resumes.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from inr_sr.devices import keep_compiled_programs, keep_freed_memory
from inr_sr.errors import EXPECTED, INTERRUPTED, Parser, explain, say
from inr_sr.studies.experiments.experiment import load
from inr_sr.studies.experiments.runner import Request, carry_out, listing
from inr_sr.training.loop import Interrupted


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m inr_sr.studies.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("names", metavar="NAME", nargs="*", help="experiments to run, or all")
    add("--workdir", type=Path, default=Path("runs", "experiments"), help="of runs and results")
    add("--train", metavar="FOLDER", default="", help="images to train on; default: the arms' own")
    add("--test", metavar="FOLDER", default="embedded", help="held-out photos; default: embedded")
    add("--docs", type=Path, metavar="FOLDER", default=Path("docs"), help="of experiments.md")
    add("--only-report", action="store_true", help="train nothing; say what is missing")
    add("--limit-minutes", type=_minutes, metavar="N", default=math.inf, help="stop after these")
    return parser.parse_args(argv)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected a number above 0")
    return value


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    try:
        arguments = _arguments(argv)
        keep_freed_memory()
        keep_compiled_programs()
        if not arguments.names:
            print(listing(load(["all"]), arguments.workdir, arguments.train))
            return 0
        request = Request(
            workdir=arguments.workdir,
            docs=arguments.docs,
            train=arguments.train,
            test=arguments.test,
            deadline=time.monotonic() + 60 * arguments.limit_minutes,
            only_report=arguments.only_report,
        )
        carry_out(load(arguments.names), request)
    except Interrupted as stop:
        say(f"{stop}; the same command goes on from there")
        return INTERRUPTED
    except EXPECTED as error:
        code, line = explain(error)
        say(line)
        return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
