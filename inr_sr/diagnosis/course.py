"""How the score of a training went, from its record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inr_sr.training.checkpoints import SCORE


@dataclass(frozen=True)
class Course:
    """What the second half of a training brought.

    Attributes:
      begun, ended: the evaluations compared, steps: the last one by half of the training, and the
        last of all; 0 where the record has no two.
      gain: of the score from one to the other, dB; NaN where the record has no two.
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
    begun = max((step for step in scores if 2 * step <= ended), default=0)
    if not begun:
        return Course(0, 0, math.nan)
    return Course(begun, ended, scores[ended] - scores[begun])
