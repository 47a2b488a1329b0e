"""The verdict on each suspect, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inr_sr.diagnosis.measures import Measures
from inr_sr.diagnosis.suspects import SUSPECTS, Finding

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
    """What was found of one suspect.

    Attributes:
      suspect: a few words.
      state: see STATES.
      sentence: why, with the numbers.
      remedy: of a cause, what to try.
    """

    suspect: str
    state: State
    sentence: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """For a terminal."""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{STATES[self.state]}: {self.suspect}. {self.sentence}{remedy}"


def verdicts(measures: Measures) -> list[Verdict]:
    """One of each suspect: causes first, then what cannot be told, then the others."""
    found = [_verdict(suspect, judge(measures)) for suspect, judge in SUSPECTS.items()]
    return sorted(found, key=lambda verdict: list(STATES).index(verdict.state))


def _verdict(suspect: str, finding: Finding) -> Verdict:
    if isinstance(finding, str):
        return Verdict(suspect, "absent", finding)
    guilty, sentence, remedy = finding
    if guilty is None:
        return Verdict(suspect, "unknown", sentence)
    return Verdict(suspect, "cause" if guilty else "fine", sentence, remedy if guilty else "")
