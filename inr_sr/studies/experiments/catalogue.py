"""The experiments there are: configs/experiments/e<number>_<what>.py of a clone."""

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.studies.experiments.experiment import Experiment

FOLDER = Path("configs", "experiments")
_FILE = re.compile(r"e(\d+)_\w+\.py")


def names() -> list[str]:
    """Names of all experiments, by their number.

    Raises:
      InputError: the current directory is not the root of a clone.
    """
    found = [path for path in FOLDER.glob("*.py") if _FILE.fullmatch(path.name)]
    if not found:
        raise InputError(f"no experiments in {FOLDER}: run this from the root of a clone")
    return [path.stem for path in sorted(found, key=_order)]


def _order(path: Path) -> tuple[int, str]:
    match = _FILE.fullmatch(path.name)
    assert match is not None
    return int(match[1]), path.name


def load(wanted: Sequence[str]) -> dict[str, Experiment]:
    """Experiments by name, in the order that is asked for; "all" is every one.

    Raises:
      InputError: an unknown name, or a file that does not make an Experiment.
    """
    known = names()
    for name in wanted:
        if name not in (*known, "all"):
            raise InputError(f"unknown experiment {name!r}; there are: {', '.join(known)}, or all")
    return {name: _loaded(name) for name in (known if "all" in wanted else wanted)}


def _loaded(name: str) -> Experiment:
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"configs.experiments.{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        experiment = module.get_experiment()
    except Exception as error:  # it is a program, and may fail in any way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise InputError(f"{path}: {reason}") from error
    if not isinstance(experiment, Experiment):
        raise InputError(f"{path}: get_experiment must return an Experiment")
    return experiment
