"""Suspects in the network: its frequencies, its modulation and its attention.

The constants at the head are the thresholds, each with its reason.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from inr_sr.evaluation.spectra import LR_NYQUIST
from inr_sr.studies.diagnosis.frequencies import Frequencies, pixels_along
from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.modulation import Modulation
from inr_sr.studies.diagnosis.verdict import Verdict, cause_or_fine

Suspect = Callable[[Measures], Verdict]

MIN_TURNS = 0.25
"""Turns of a wave over its region below which it is nearly constant or a straight line."""
MIN_SHARE = 0.05
"""Minimum share of waves beyond LR Nyquist; one in twenty is too few to draw detail with."""
MIN_MOVED = 0.01
"""Minimum |B - B_0| / |B_0| of trained frequencies: a hundredth changes nothing visible."""
MIN_RANK = 0.25
"""Minimum effective rank as a share of its maximum: four equal copies of waves have a quarter."""
MAX_WASTED = 0.25
"""Largest share of waves beyond the Nyquist frequency of the largest trained scale."""
RESOLVED = 1.0
"""Turns over the region by which two waves must differ to be distinguishable in it."""
MIN_RATE = 0.08
"""Minimum mean frequency of the modulation, cycles per LR pixel: a turn over 12 LR pixels."""
MAX_ENTROPY = 0.95
"""Entropy over log k of the most selective head above which attention is nearly a plain mean."""
MAX_DISTANCE = 2.0
"""Mean distance of the nearest head in spacings of tokens: the corner of the 3 x 3 tokens around a
query is 1.4 away."""
MIN_CHANGE = 1 / 255
"""Root mean square change of the output, one level of 8 bits: less is invisible."""


def _with_frequencies(judge: Callable[[Measures, Frequencies], Verdict]) -> Suspect:
    """The suspect for every decoder; `judge` sees those that have frequencies."""

    @functools.wraps(judge)
    def suspect(measures: Measures) -> Verdict:
        if measures.frequencies is None:
            decoder = measures.recipe.decoder
            return Verdict("absent", f"The decoder {decoder} has no frequencies.")
        return judge(measures, measures.frequencies)

    return suspect


def _with_modulation(judge: Callable[[Measures, Modulation], Verdict]) -> Suspect:
    """The suspect for every decoder; `judge` sees those with modulation by attention."""

    @functools.wraps(judge)
    def suspect(measures: Measures) -> Verdict:
        if measures.modulation is None:
            decoder = measures.recipe.decoder
            return Verdict("absent", f"The decoder {decoder} has no modulation by attention.")
        return judge(measures, measures.modulation)

    return suspect


def _start_higher(measures: Measures) -> str:
    if measures.recipe.decoder == "spectral":
        return "Raise model.spectral.bands to half the largest scale."
    return (
        "Let them start in cycles per LR pixel: model.modulated.initialisation annulus or power, "
        "bands up to half the largest scale."
    )


@_with_frequencies
def vanishing(measures: Measures, found: Frequencies) -> Verdict:
    """Whether waves turn at all over the region in which they are evaluated."""
    high, min_frequency = found.together.length["0.95"], MIN_TURNS / found.region.side
    sentence = (
        f"95 % of the waves are below {high:.3g} cycles per LR pixel: "
        f"{high * found.region.side:.2g} turns over {found.region.name}; they need {MIN_TURNS:g}."
    )
    if high < min_frequency and measures.recipe.initialisation == "inverse_sigma":
        sentence += (
            " They start from inverse_sigma, which divides by sigma where the others multiply."
        )
    return cause_or_fine(high < min_frequency, sentence, _start_higher(measures))


@_with_frequencies
def low(measures: Measures, found: Frequencies) -> Verdict:
    """Whether any wave can draw what the LR image does not hold."""
    share, highest = found.together.beyond_lr, found.together.length["max"]
    sentence = (
        f"{share:.0%} of the waves are beyond the LR Nyquist frequency of {LR_NYQUIST:g} cycles "
        f"per LR pixel; the highest is at {highest:.3g}."
    )
    return cause_or_fine(share < MIN_SHARE, sentence, _start_higher(measures))


@_with_frequencies
def unmoved(measures: Measures, found: Frequencies) -> Verdict:
    """Whether frequencies that started too low stayed there."""
    moved = found.together.moved
    if math.isnan(moved):
        sentence = "The frequencies started at 0, so there is nothing to compare with."
        return Verdict("unknown", sentence)
    sentence = f"They moved by {moved:.1%} of their norm"
    if moved >= MIN_MOVED:
        return Verdict("fine", f"{sentence}.")
    if found.together.beyond_lr >= MIN_SHARE:
        return Verdict("fine", f"{sentence}, which is little, but they started where detail is.")
    remedy = "Raise optimizer.frequency_multiplier, or better, let them start where detail is."
    return Verdict("cause", f"{sentence}, and started where no detail is.", remedy)


@_with_frequencies
def alike(measures: Measures, found: Frequencies) -> Verdict:
    """Whether many waves span only few functions."""
    rank, most = found.together.effective_rank, found.together.most
    pixels = pixels_along(found.region, measures.scale) ** 2
    sentence = (
        f"{2 * len(found.together.now)} cosines and sines span {rank:.1f} functions at the "
        f"{pixels} output pixels of {found.region.name}."
    )
    remedy = "Spread them: low waves are alike over a small region, so use fewer and higher ones."
    return cause_or_fine(rank < MIN_RANK * most, sentence, remedy)


@_with_frequencies
def too_few(measures: Measures, found: Frequencies) -> Verdict:
    """Whether some frequencies of the output are far from every wave."""
    gap, apart = found.together.gap, RESOLVED / found.region.side
    sentence = (
        f"95 % of the frequencies that ×{measures.scale:g} can show are within {gap:.2g} cycles "
        f"per LR pixel of a wave; over {found.region.name}, waves {apart:.2g} apart are distinct."
    )
    remedy = (
        "Spread them, or raise model.spectral.frequencies."
        if measures.recipe.decoder == "spectral"
        else "Spread them, raise model.modulated.features, or set model.modulated.frame to cell."
    )
    return cause_or_fine(gap > apart, sentence, remedy)


@_with_frequencies
def wasted(measures: Measures, found: Frequencies) -> Verdict:
    """Whether waves lie beyond the Nyquist frequency of every output."""
    share = found.together.beyond_trained
    scale = max(measures.scale, measures.recipe.scales[1])
    sentence = (
        f"{share:.0%} of the waves are beyond {scale / 2:g} cycles per LR pixel, which no output "
        f"of ×{scale:g} can show."
    )
    return cause_or_fine(
        share > MAX_WASTED, sentence, "Lower the highest of the bands to half that scale."
    )


@_with_modulation
def smooth_modulation(measures: Measures, found: Modulation) -> Verdict:
    """Whether the modulation varies too slowly, and the waves that it modulates as well."""
    waves = measures.frequencies
    assert waves is not None  # what is modulated are waves
    if math.isnan(found.rate):
        sentence = "The modulation is the same everywhere."
        return Verdict("cause", sentence, "Check whether its tokens are used.")
    sentence = (
        f"Its mean frequency is {found.rate:.2g} cycles per LR pixel; {found.beyond_lr:.2g} of its "
        f"variation is beyond LR Nyquist (of the truth's, {measures.output.truth_beyond_lr:.2g})"
    )
    if found.rate >= MIN_RATE:
        return Verdict("fine", f"{sentence}.")
    if waves.together.beyond_lr >= MIN_SHARE:
        return Verdict("fine", f"{sentence}: smooth, but the waves that it modulates are not.")
    remedy = "Give the waves of query and bands higher frequencies, or more tokens."
    return Verdict("cause", f"{sentence}: smooth, and so are the waves that it modulates.", remedy)


@_with_modulation
def indifferent(measures: Measures, found: Modulation) -> Verdict:
    """Whether all heads take a plain mean of their tokens."""
    if found.attended == 1:
        return Verdict("absent", "A query attends to a single token.")
    min_entropy = float(found.entropy.min())
    sentence = (
        f"Over {found.attended} tokens, the entropy of the most selective head is "
        f"{min_entropy:.0%} of that of a plain mean."
    )
    remedy = "Attend to fewer tokens, place them closer, or train for longer."
    return cause_or_fine(min_entropy > MAX_ENTROPY, sentence, remedy)


@_with_modulation
def far(measures: Measures, found: Modulation) -> Verdict:
    """Whether no head attends to near tokens."""
    min_distance = float(found.distance.min())
    sentence = (
        f"The nearest head attends to tokens {min_distance:.1f} LR pixels away on average; tokens "
        f"are {found.spacing} apart."
    )
    remedy = "Attend to the nearest tokens only: model.modulated.nearest 9."
    return cause_or_fine(min_distance > MAX_DISTANCE * found.spacing, sentence, remedy)


def unused(measures: Measures) -> Verdict:
    """Whether the output depends on the tokens, or on the features of a decoder without tokens."""
    carriers = "tokens" if measures.modulation else "features"
    shuffled, zeroed = measures.shuffled, measures.zeroed
    sentence = (
        f"With its {carriers} shuffled the output changes by {255 * shuffled.change:.2f} of 255 "
        f"levels and loses {shuffled.psnr_fall:.2f} dB; with them at 0, by "
        f"{255 * zeroed.change:.2f} and {zeroed.psnr_fall:.2f} dB."
    )
    remedy = "Train for longer, or with a higher optimizer.learning_rate."
    return cause_or_fine(shuffled.change < MIN_CHANGE, sentence, remedy)
