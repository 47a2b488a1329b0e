"""How the score of a training went, from its record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inr_sr.training.checkpoints import SCORE


@dataclass(frozen=True)
class Course:
    """What the last part of a training brought.

    Attributes:
      begun, ended: the evaluations compared, steps: the one nearest to half of the training, of
        two the later, and the last of all; 0 where there is none between a third and two thirds.
      gain: of the score from one to the other, dB; NaN likewise.
    """

    begun: int
    ended: int
    gain: float


def measure(rows: Sequence[dict[str, float]]) -> Course:
    """What a metrics.jsonl tells of the score.

    Args:
      rows: see `journal.rows`.
    """
    scores = {
        int(row["step"]): row[SCORE] for row in rows if math.isfinite(row.get(SCORE, math.nan))
    }
    ended = max(scores, default=0)
    near = [step for step in scores if ended <= 3 * step <= 2 * ended]
    begun = min(near, key=lambda step: (abs(2 * step - ended), -step), default=0)
    if not begun:
        return Course(0, 0, math.nan)
    return Course(begun, ended, scores[ended] - scores[begun])
