"""Suspects among the frequencies."""

from __future__ import annotations

import math

from inr_sr.evaluation.spectra import LR_NYQUIST
from inr_sr.studies.diagnosis.frequencies import pixels_along
from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.verdict import Verdict, judged

TURNS = 0.25
"""Turns of a wave over its region below which it is nearly constant, or a straight line."""
FEW = 0.05
"""Share of waves that are too few to draw with: one in twenty."""
MOVED = 0.01
"""Least |B - B_0| / |B_0| of frequencies that were trained: a hundredth is no change to see."""
DISTINCT = 0.25
"""Least effective rank, of what it could be; a quarter is what is left of four equal copies."""
WASTED = 0.25
"""Most waves that may lie beyond the Nyquist frequency of all outputs that were trained."""
APART = 1.0
"""Turns over the region by which two waves differ that are told apart in it."""


def _none(measures: Measures) -> Verdict:
    return Verdict("absent", f"The decoder {measures.recipe.decoder} has no frequencies.")


def _start_higher(measures: Measures) -> str:
    if measures.recipe.decoder == "spectral":
        return "Raise model.spectral.bands to half the largest scale."
    return (
        "Let them start in cycles per LR pixel: model.modulated.initialisation annulus or power, "
        "bands up to half the largest scale."
    )


def vanishing(measures: Measures) -> Verdict:
    """Whether waves turn at all over the region that they are asked in."""
    found = measures.frequencies
    if found is None:
        return _none(measures)
    high, least = found.together.length["0.95"], TURNS / found.region.side
    sentence = (
        f"95 % of the waves are below {high:.3g} cycles per LR pixel: "
        f"{high * found.region.side:.2g} turns over {found.region.name}; they need {TURNS:g}."
    )
    if high < least and measures.recipe.initialisation == "inverse_sigma":
        sentence += " They start from inverse_sigma, which divides by sigma where others multiply."
    return judged(high < least, sentence, _start_higher(measures))


def low(measures: Measures) -> Verdict:
    """Whether any wave can draw what the LR picture does not hold."""
    found = measures.frequencies
    if found is None:
        return _none(measures)
    share, highest = found.together.beyond_lr, found.together.length["max"]
    sentence = (
        f"{share:.0%} of the waves are beyond the LR Nyquist frequency of {LR_NYQUIST:g} cycles "
        f"per LR pixel; the highest is at {highest:.3g}."
    )
    return judged(share < FEW, sentence, _start_higher(measures))


def unmoved(measures: Measures) -> Verdict:
    """Whether frequencies that began too low stayed there."""
    found = measures.frequencies
    if found is None:
        return _none(measures)
    moved = found.together.moved
    if math.isnan(moved):
        sentence = "The frequencies started at 0, so there is nothing to compare with."
        return Verdict("unknown", sentence)
    sentence = f"They moved by {moved:.1%} of their norm"
    if moved >= MOVED:
        return Verdict("fine", f"{sentence}.")
    if found.together.beyond_lr >= FEW:
        return Verdict("fine", f"{sentence}, which is little, but they began where detail is.")
    remedy = "Raise optimizer.frequency_multiplier, or better let them start where detail is."
    return Verdict("cause", f"{sentence}, and began where no detail is.", remedy)


def alike(measures: Measures) -> Verdict:
    """Whether many waves are few functions."""
    found = measures.frequencies
    if found is None:
        return _none(measures)
    rank, most = found.together.effective_rank, found.together.most
    pixels = pixels_along(found.region, measures.scale) ** 2
    sentence = (
        f"{2 * len(found.together.now)} cosines and sines amount to {rank:.1f} functions at the "
        f"{pixels} output pixels of {found.region.name}."
    )
    remedy = "Spread them: lower waves are alike over a small region, so give it fewer and higher."
    return judged(rank < DISTINCT * most, sentence, remedy)


def too_few(measures: Measures) -> Verdict:
    """Whether there is detail of a frequency that no wave is near to."""
    found = measures.frequencies
    if found is None:
        return _none(measures)
    gap, apart = found.together.gap, APART / found.region.side
    sentence = (
        f"95 % of the frequencies that ×{measures.scale:g} can show are within {gap:.2g} cycles "
        f"per LR pixel of a wave; over {found.region.name}, {apart:.2g} are told apart."
    )
    remedy = (
        "Spread them, or raise model.spectral.frequencies."
        if measures.recipe.decoder == "spectral"
        else "Spread them, raise model.modulated.features, or set model.modulated.frame to cell."
    )
    return judged(gap > apart, sentence, remedy)


def wasted(measures: Measures) -> Verdict:
    """Whether waves lie where no output can show them."""
    found = measures.frequencies
    if found is None:
        return _none(measures)
    share = found.together.beyond_trained
    scale = max(measures.scale, measures.recipe.scales[1])
    sentence = (
        f"{share:.0%} of the waves are beyond {scale / 2:g} cycles per LR pixel, which no output "
        f"of ×{scale:g} can show."
    )
    return judged(share > WASTED, sentence, "Lower the highest of the bands to half that scale.")
