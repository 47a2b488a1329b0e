"""`inr-sr diagnose`: why the images of a training run stay smooth."""

import argparse
import shlex

from inr_sr.cli import arguments as types
from inr_sr.cli.summary import show_path
from inr_sr.errors import InputError, Parser
from inr_sr.sizes import Scale, scale_label

_DESCRIPTION = """\
Says why the images of a training run stay smooth.

Measures the newest checkpoint of RUN, a work folder of train.py, on held-out images and
writes RUN/diagnosis/: index.html for people, measures.json for programs. Prints what it found of
each suspect, causes first, and the page's path. docs/diagnosis.md says what is measured.
"""


def add_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Adds the command to argparse's subparsers."""
    diagnose = commands.add_parser(
        "diagnose",
        help="say why the images of a training run stay smooth",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    diagnose.set_defaults(run=_diagnose)
    add = diagnose.add_argument
    add("workdir", metavar="RUN", type=types.path, help="work folder of a training run")
    add("--data", metavar="FOLDER", help="held-out images (default: the run's eval.dataset)")
    add(
        "--scale",
        metavar="S",
        type=types.scale,
        help="above 1 (default: 4, or the only one the network knows)",
    )


def _diagnose(arguments: argparse.Namespace) -> int:
    try:
        from inr_sr.devices import keep_compiled_programs
        from inr_sr.studies.diagnosis.diagnose import diagnose
        from inr_sr.studies.diagnosis.verdict import STATES
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "inr_sr"):
            raise
        raise InputError(
            f"diagnose needs {name}, which is not installed: pip install 'inr_sr[train]'"
        ) from error
    keep_compiled_programs()
    axes = arguments.scale
    scale = Scale(axes[0], axes[1], scale_label(*axes)) if axes else None
    given = {"--data": arguments.data, "--scale": scale.label if scale else None}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    command = shlex.join(["inr-sr", "diagnose", str(arguments.workdir), *options])
    found, page = diagnose(arguments.workdir, data=arguments.data, scale=scale, command=command)
    for suspect, verdict in found.items():
        remedy = f" {verdict.remedy}" if verdict.remedy else ""
        print(f"{STATES[verdict.state]}: {suspect}. {verdict.sentence}{remedy}")
    show_path(page)
    return 0
