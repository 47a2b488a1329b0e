"""Suspects in the decoder: its size, and what tokens tell it."""

from __future__ import annotations

import math

from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.suspects.waves import FEW
from inr_sr.studies.diagnosis.verdict import Verdict, judged

SLOW = 0.08
"""Least mean frequency of the modulation, cycles per LR pixel: a turn over 12 LR pixels."""
INDIFFERENT = 0.95
"""Entropy over log k of the most selective head above which it takes the mean of its tokens."""
TOO_FAR = 2.0
"""Mean distance in spacings of tokens beyond which no head looks at what is near: the corner of
the 3 x 3 tokens about a query is 1.4 away."""
UNUSED = 1 / 255
"""Root mean square change of the output that is one level of 8 bits, which nobody sees."""


def _none(measures: Measures) -> Verdict:
    decoder = measures.recipe.decoder
    return Verdict("absent", f"The decoder {decoder} has no modulation by attention.")


def too_small(measures: Measures) -> Verdict:
    """Its size; whether more would help is for a comparison."""
    sentence = (
        f"Its decoder has {measures.recipe.parameters:,} parameters. Whether more would draw more "
        "one network cannot tell: compare, as docs/experiments.md does in e1_capacity."
    )
    return Verdict("unknown", sentence)


def smooth_modulation(measures: Measures) -> Verdict:
    """Whether what the tokens tell varies too slowly, and the waves that it modulates as well."""
    found, waves = measures.modulation, measures.frequencies
    if found is None or waves is None:
        return _none(measures)
    if math.isnan(found.rate):
        sentence = "The modulation is the same everywhere."
        return Verdict("cause", sentence, "See whether its tokens are used.")
    sentence = (
        f"Its mean frequency is {found.rate:.2g} cycles per LR pixel; {found.beyond_lr:.2g} of its "
        f"variation is beyond LR Nyquist (of the truth's, {measures.output.truth_beyond_lr:.2g})"
    )
    if found.rate >= SLOW:
        return Verdict("fine", f"{sentence}.")
    if waves.together.beyond_lr >= FEW:
        return Verdict("fine", f"{sentence}: smooth, but the waves that it modulates are not.")
    remedy = "Give the waves of query and bands higher frequencies, or more tokens."
    return Verdict("cause", f"{sentence}: smooth, and so are the waves that it modulates.", remedy)


def indifferent(measures: Measures) -> Verdict:
    """Whether all heads take the mean of what they look at."""
    found = measures.modulation
    if found is None:
        return _none(measures)
    if found.attended == 1:
        return Verdict("absent", "A query attends to a single token.")
    least = float(found.entropy.min())
    sentence = (
        f"Of {found.attended} tokens, the entropy of the most selective head is {least:.0%} of "
        "that of a plain mean."
    )
    remedy = "Attend to fewer tokens, place them closer, or train for longer."
    return judged(least > INDIFFERENT, sentence, remedy)


def far(measures: Measures) -> Verdict:
    """Whether no head looks at what is near."""
    found = measures.modulation
    if found is None:
        return _none(measures)
    least = float(found.distance.min())
    sentence = (
        f"The head that looks nearest looks {least:.1f} LR pixels far on average; tokens are "
        f"{found.spacing} apart."
    )
    remedy = "Attend to the nearest tokens alone: model.modulated.nearest 9."
    return judged(least > TOO_FAR * found.spacing, sentence, remedy)


def unused(measures: Measures) -> Verdict:
    """Whether it matters where tokens are, or what plays their part."""
    kept = "tokens" if measures.modulation else "features"
    shuffled, zeroed = measures.shuffled, measures.zeroed
    sentence = (
        f"With its {kept} in other places the output changes by {255 * shuffled.change:.2f} of "
        f"255 levels and loses {shuffled.psnr_fall:.2f} dB; with none, by "
        f"{255 * zeroed.change:.2f} and {zeroed.psnr_fall:.2f} dB."
    )
    remedy = "Train for longer, or with a higher optimizer.learning_rate."
    return judged(shuffled.change < UNUSED, sentence, remedy)
