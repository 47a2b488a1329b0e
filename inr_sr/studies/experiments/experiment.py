"""What an experiment is: a question, and the trainings that answer it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.sizes import Scale, parse_scales

PRIMARY = "4"
"""Label of the scale that differences to the reference are judged at."""

LEAST_SEEDS = 3


@dataclass(frozen=True)
class Experiment:
    """Arms that are trained with the same seeds and compared with one of them.

    Attributes:
      question: what is asked, one sentence.
      prediction: the answer expected, and why; written before anything is trained.
      reference: the arm that the others are compared with.
      arms: name to configuration, in the order of the table; `seed` and the folder of the pictures
        are the runner's to set.
      seeds: each arm is trained with each of them; at least LEAST_SEEDS.
      fewer: arms that are trained with some of the seeds only, such as costly ones.
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
        if len(set(self.seeds)) < max(LEAST_SEEDS, len(self.seeds)):
            raise InputError(f"seeds {self.seeds} must be at least {LEAST_SEEDS}, and differ")
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
        """The scales as evaluations take them."""
        return parse_scales(",".join(str(scale) for scale in self.scales))

    def compared_with(self, arm: str) -> str:
        """The arm that one is compared with; "" for the reference, unless it says another."""
        return self.against.get(arm, "" if arm == self.reference else self.reference)

    def seeds_of(self, arm: str) -> tuple[int, ...]:
        """The seeds that an arm is trained with."""
        return tuple(seed for seed in self.seeds if seed in self.fewer.get(arm, self.seeds))
