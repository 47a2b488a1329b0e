"""What an experiment is: a question and arms that answer it, a file of configs/experiments each."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.sizes import Scale, parse_scales

FOLDER = Path("configs", "experiments")
"""In a clone; each experiment is a file e<number>_<what>.py in it."""

PRIMARY = "4"
"""Label of the scale at which differences to the reference are reported."""

MIN_SEEDS = 3

_FILE = re.compile(r"e(\d+)_\w+\.py")


@dataclass(frozen=True)
class Experiment:
    """Arms that are trained with the same seeds and compared with one of them.

    Attributes:
      question: one sentence.
      prediction: the expected answer and why; written before anything is trained.
      reference: the arm that the others are compared with.
      arms: name to configuration, in the order of the table; the runner sets `seed` and the folder
        of the images.
      seeds: each arm is trained with each of them; at least MIN_SEEDS.
      fewer: the seeds of arms that are trained with only some of them, such as costly ones.
      scales: at which the arms are compared, the primary one among them.
      lr_size: side of the LR crops they are compared on, pixels.
      controls: arms that should make no difference, or do harm: where one does better, the
        comparison is not to be trusted.
      against: arm to another one that it is compared with instead of the reference, such as the one
        before it where each adds something.

    Raises:
      InputError: arms, seeds or scales that do not fit together.
    """

    question: str
    prediction: str
    reference: str
    arms: Mapping[str, ConfigDict]
    seeds: tuple[int, ...] = (0, 1, 2)
    fewer: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    scales: tuple[float, ...] = (2, 4, 6, 8)
    lr_size: int = 32
    controls: tuple[str, ...] = ()
    against: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        others = (*self.against, *self.against.values())
        for name in (self.reference, *self.fewer, *self.controls, *others):
            if name not in self.arms:
                raise InputError(f"there is no arm {name!r}; arms: {', '.join(self.arms)}")
        if len(set(self.seeds)) < max(MIN_SEEDS, len(self.seeds)):
            raise InputError(f"seeds {self.seeds} must be at least {MIN_SEEDS}, and differ")
        for arm, seeds in self.fewer.items():
            if not seeds or not set(seeds) <= set(self.seeds):
                raise InputError(f"seeds {seeds} of arm {arm!r} must be some of {self.seeds}")
        for arm, other in self.against.items():
            if arm == other:
                raise InputError(f"arm {arm!r} cannot be compared with itself")
        for arm, config in self.arms.items():
            if config.init:
                raise InputError(f"init {config.init!r} of arm {arm!r} must be empty")
        if PRIMARY not in [scale.label for scale in self.parsed_scales]:
            raise InputError(f"scales {self.scales} must have {PRIMARY} among them")
        if self.lr_size < 1:
            raise InputError(f"lr_size {self.lr_size} must be at least 1")

    @property
    def parsed_scales(self) -> list[Scale]:
        """The scales in the form that evaluations take."""
        return parse_scales(",".join(str(scale) for scale in self.scales))

    def compared_with(self, arm: str) -> str:
        """The arm that one is compared with; "" for the reference, unless `against` names one."""
        return self.against.get(arm, "" if arm == self.reference else self.reference)

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """The seeds that an arm is trained with."""
        return tuple(seed for seed in self.seeds if seed in self.fewer.get(arm, self.seeds))


def names() -> list[str]:
    """Names of all experiments of this clone, ordered by number.

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
    """Experiments by name, in the given order; "all" loads every one.

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
