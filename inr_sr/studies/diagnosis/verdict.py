"""What can be found of a suspect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["cause", "unknown", "fine", "absent"]
STATES: dict[State, str] = {
    "cause": "cause found",
    "unknown": "not measurable",
    "fine": "fine",
    "absent": "does not apply",
}
"""What readers see, in the order in which verdicts are given."""


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
      state: see STATES.
      sentence: why, with the numbers.
      remedy: of a cause, what to try.
    """

    state: State
    sentence: str
    remedy: str = ""


def judged(guilty: bool, sentence: str, remedy: str) -> Verdict:
    """A cause with its remedy, or fine."""
    return Verdict("cause", sentence, remedy) if guilty else Verdict("fine", sentence)
