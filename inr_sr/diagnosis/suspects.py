"""What may keep a picture smooth, and what the measures say of each.

docs/diagnosis.md says more of what to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from inr_sr.diagnosis.frequencies import pixels_along
from inr_sr.diagnosis.measures import Measures
from inr_sr.evaluation.spectra import LR_NYQUIST

STILL_RISING = 0.05
"""Gain of the score in the second half of a training above which it ended too soon, dB."""
MOVED = 0.01
"""Least |B - B_0| / |B_0| of frequencies that were trained: annuli are refined by 2 to 10 %."""
TURNS = 0.25
"""Turns of a wave over its region below which it is nearly constant, or a straight line."""
FEW = 0.05
"""Share of waves that are too few to draw with."""
DISTINCT = 0.25
"""Least effective rank, of what it could be: annuli reach 0.6 and more, equal waves 0."""
WASTED = 0.25
"""Most waves that may lie beyond the Nyquist frequency of all outputs that were trained."""
SLOW = 0.08
"""Least mean frequency of the modulation, cycles per LR pixel; edges of LR pictures reach 0.17."""
INDIFFERENT = 0.95
"""Entropy over log k of the most selective head above which it takes the mean of its tokens."""
TOO_FAR = 2.0
"""Mean distance in spacings of tokens beyond which no head looks at what is near."""
MORE_THAN_BICUBIC = 1.5
"""Least energy beyond LR Nyquist in multiples of bicubic's, which comes from its kernel alone."""
INVENTED = 0.5
"""Slope of the truth on the detail below which the truth is nearer to no detail at all."""
REPRODUCED = 35.0
"""Least PSNR of the x1 result without a skip, dB: below, not even the LR picture is drawn."""
LESS_CONSISTENT = 1.0
"""How far LR consistency may fall below bicubic's, dB."""
UNUSED = 1 / 255
"""Root mean square change of the output that is one level of 8 bits, which nobody sees."""

# What a suspect's measures say: whether it is a cause (None: not measurable), the sentence, and
# what to try. A text alone says why the suspect does not apply.
Finding = tuple[bool | None, str, str] | str


def _no_frequencies(measures: Measures) -> str:
    return f"The decoder {measures.setup.decoder} has no frequencies."


def _no_modulation(measures: Measures) -> str:
    return f"The decoder {measures.setup.decoder} has no modulation by attention."


_FLAT_TRUTH = "The pictures have no energy beyond LR Nyquist themselves; take others with --data."
_START_HIGHER = (
    "Let them start in cycles per LR pixel: model.modulated.initialisation annulus or power, "
    "bands up to half the largest scale."
)


def _targets(measures: Measures) -> Finding:
    setup = measures.setup
    remedy = "Train with data.targets hr."
    if setup.targets == "lr":
        return True, "It was trained on the LR picture itself, which holds no detail.", remedy
    if setup.targets == "pseudo_hr":
        sentence = "It was trained on bicubic enlargements: they can only teach bicubic."
        return True, sentence, remedy
    if setup.raw_targets and setup.jitter:
        sentence = (
            f"Its queries were jittered by {setup.jitter:g} output pixels and its targets were "
            "not: that teaches a blur."
        )
        return True, sentence, "Set data.raw_targets to False, or data.jitter to 0."
    return False, "It was trained on HR pixels, taken where they are asked.", ""


def _too_short(measures: Measures) -> Finding:
    found = measures.course
    if math.isnan(found.gain):
        return None, "Its record has no evaluation by half of its steps to compare with.", ""
    sentence = (
        f"From step {found.begun} to step {found.ended} the score of held-out pictures went by "
        f"{found.gain:+.2f} dB."
    )
    remedy = "Train for longer: twice as many steps are likely to bring about as much again."
    return found.gain > STILL_RISING, sentence, remedy


def _vanishing(measures: Measures) -> Finding:
    found = measures.frequencies
    if found is None:
        return _no_frequencies(measures)
    high, least = found.together.length["0.95"], TURNS / found.region.side
    start = (
        " They start from inverse_sigma, which divides by sigma where others multiply."
        if measures.setup.initialisation == "inverse_sigma"
        else ""
    )
    sentence = (
        f"95 % of the waves are below {high:.3g} cycles per LR pixel: "
        f"{high * found.region.side:.2g} turns over {found.region.name}; they need {TURNS:g}."
    )
    return high < least, sentence + (start if high < least else ""), _START_HIGHER


def _low(measures: Measures) -> Finding:
    found = measures.frequencies
    if found is None:
        return _no_frequencies(measures)
    share, highest = found.together.beyond_lr, found.together.length["max"]
    sentence = (
        f"{share:.0%} of the waves are beyond the LR Nyquist frequency of {LR_NYQUIST:g} cycles "
        f"per LR pixel; the highest is at {highest:.3g}."
    )
    return share < FEW, sentence, _START_HIGHER


def _unmoved(measures: Measures) -> Finding:
    found = measures.frequencies
    if found is None:
        return _no_frequencies(measures)
    moved = found.together.moved
    if math.isnan(moved):
        return None, "The frequencies started at 0, so there is nothing to compare with.", ""
    sentence = f"They moved by {moved:.1%} of their norm."
    if moved >= MOVED:
        return False, sentence, ""
    if found.together.beyond_lr >= FEW:
        return False, f"{sentence[:-1]}, which is little, but they began where detail is.", ""
    remedy = "Raise optimizer.frequency_multiplier, or better let them start where detail is."
    return True, f"{sentence[:-1]}, and began where no detail is.", remedy


def _redundant(measures: Measures) -> Finding:
    found = measures.frequencies
    if found is None:
        return _no_frequencies(measures)
    rank, most = found.together.effective_rank, found.together.most
    pixels = pixels_along(found.region, measures.setup.scale) ** 2
    sentence = (
        f"{2 * len(found.together.now)} cosines and sines amount to {rank:.1f} functions at the "
        f"{pixels} output pixels of {found.region.name}."
    )
    remedy = "Spread them: lower waves are alike over a small region, so give it fewer and higher."
    return rank < DISTINCT * most, sentence, remedy


def _wasted(measures: Measures) -> Finding:
    found = measures.frequencies
    if found is None:
        return _no_frequencies(measures)
    share = found.together.beyond_trained
    scale = max(measures.setup.scale, measures.setup.max_scale)
    sentence = (
        f"{share:.0%} of the waves are beyond {scale / 2:g} cycles per LR pixel, which no output "
        f"of ×{scale:g} can show."
    )
    return share > WASTED, sentence, "Lower the highest of the bands to half the largest scale."


def _smooth_modulation(measures: Measures) -> Finding:
    found, waves = measures.modulation, measures.frequencies
    if found is None or waves is None:
        return _no_modulation(measures)
    if math.isnan(found.rate):
        return True, "The modulation is the same everywhere.", "See whether its tokens are used."
    sentence = (
        f"Its mean frequency is {found.rate:.2g} cycles per LR pixel; {found.beyond_lr:.2g} of its "
        f"variation is beyond LR Nyquist (of the truth's, {measures.output.truth_beyond_lr:.2g})"
    )
    if found.rate >= SLOW:
        return False, f"{sentence}.", ""
    if waves.together.beyond_lr >= FEW:
        return False, f"{sentence}: smooth, but the waves that it modulates are not.", ""
    remedy = "Give the waves of query and bands higher frequencies, or more tokens."
    return True, f"{sentence}: smooth, and the waves that it modulates are, too.", remedy


def _indifferent(measures: Measures) -> Finding:
    found = measures.modulation
    if found is None:
        return _no_modulation(measures)
    if found.attended == 1:
        return "A query attends to a single token."
    least = float(found.entropy.min())
    sentence = (
        f"Of {found.attended} tokens, the entropy of the most selective head is {least:.0%} of "
        "that of a plain mean."
    )
    remedy = "Attend to fewer tokens, place them closer, or train for longer."
    return least > INDIFFERENT, sentence, remedy


def _far(measures: Measures) -> Finding:
    found = measures.modulation
    if found is None:
        return _no_modulation(measures)
    least = float(found.distance.min())
    sentence = (
        f"The head that looks nearest looks {least:.1f} LR pixels far on average; tokens are "
        f"{found.spacing} apart."
    )
    remedy = "Attend to the nearest tokens alone: model.modulated.nearest 9."
    return least > TOO_FAR * found.spacing, sentence, remedy


def _no_detail(measures: Measures) -> Finding:
    network, bicubic = measures.output.network.energy, measures.output.bicubic.energy
    if math.isnan(network):
        return None, _FLAT_TRUTH, ""
    sentence = (
        f"Beyond LR Nyquist it has {network:.1%} of the truth's energy; bicubic has {bicubic:.1%}."
    )
    return network <= MORE_THAN_BICUBIC * bicubic, sentence, "The other causes say why."


def _invented(measures: Measures) -> Finding:
    output = measures.output
    if math.isnan(output.network.energy):
        return None, _FLAT_TRUTH, ""
    if output.network.energy <= MORE_THAN_BICUBIC * output.bicubic.energy:
        return "The output has no detail that could be invented."
    sentence = (
        f"Beyond LR Nyquist the truth has {output.network.slope:.2f} of the output's detail (1 is "
        f"the best guess, below {INVENTED:g} none would be better); its coherence is "
        f"{output.network.mean_coherence:.2f}, that of bicubic {output.bicubic.mean_coherence:.2f}."
    )
    remedy = "Lower the weights of adversarial and Fourier losses, or look for a shift of queries."
    return output.network.slope < INVENTED, sentence, remedy


def _no_skip(measures: Measures) -> Finding:
    if measures.setup.skip:
        return False, "The network adds to bicubic.", ""
    reached = measures.output.same_size
    if math.isnan(reached):
        return None, "There is none, and no ×1 result either that would say what it costs.", ""
    sentence = f"There is none, and the network draws the LR picture itself at {reached:.1f} dB"
    if reached >= REPRODUCED:
        return False, f"{sentence}, which is enough.", ""
    return True, f"{sentence}: it is busy with what bicubic has for nothing.", "Set model.skip."


def _inconsistent(measures: Measures) -> Finding:
    network, bicubic = measures.output.network.lr_psnr, measures.output.bicubic.lr_psnr
    sentence = f"Shrunk again it is {network:.1f} dB from the LR picture, bicubic {bicubic:.1f} dB."
    remedy = "Train for longer, with the skip and with targets of HR pixels."
    return network < bicubic - LESS_CONSISTENT, sentence, remedy


def _unused(measures: Measures) -> Finding:
    shuffled, zeroed = measures.shuffled, measures.zeroed
    sentence = (
        f"With its tokens in other places the output changes by {255 * shuffled.change:.2f} of "
        f"255 levels and loses {shuffled.psnr_fall:.2f} dB; with none, by "
        f"{255 * zeroed.change:.2f} and {zeroed.psnr_fall:.2f} dB."
    )
    remedy = "Train for longer; if that changes nothing, see attention and learning rate."
    return shuffled.change < UNUSED, sentence, remedy


SUSPECTS: dict[str, Callable[[Measures], Finding]] = {
    "Targets without detail": _targets,
    "Training that ended too soon": _too_short,
    "Frequencies that vanish": _vanishing,
    "No frequency beyond LR Nyquist": _low,
    "Frequencies that did not move": _unmoved,
    "Waves that are alike": _redundant,
    "Waves beyond the output's Nyquist": _wasted,
    "Modulation that is too smooth": _smooth_modulation,
    "Attention that does not discriminate": _indifferent,
    "Attention that looks too far": _far,
    "Tokens that are not used": _unused,
    "No bicubic skip": _no_skip,
    "No detail in the output": _no_detail,
    "Detail that is invented": _invented,
    "Output that contradicts the LR picture": _inconsistent,
}
"""What may be wrong, from the training's data to its output, and what judges it."""
