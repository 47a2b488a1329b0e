"""What a diagnosis says of a suspect."""

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
"""The text for readers, in the order in which verdicts are listed."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a suspect.

    Attributes:
      state: see STATES.
      sentence: the reason, with its numbers.
      remedy: what to try; "" unless a cause was found.
    """

    state: State
    sentence: str
    remedy: str = ""


def cause_or_fine(is_cause: bool, sentence: str, remedy: str) -> Verdict:
    """A cause with its remedy, or fine."""
    return Verdict("cause", sentence, remedy) if is_cause else Verdict("fine", sentence)
