"""Suspects in what the network puts out."""

from __future__ import annotations

import math

from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.verdict import Verdict, judged

MORE_THAN_BICUBIC = 1.5
"""Least energy beyond LR Nyquist in multiples of bicubic's, which comes from its kernel alone."""
INVENTED = 0.5
"""Slope of the truth on the detail below which the truth is nearer to no detail at all."""
REPRODUCED = 35.0
"""Least PSNR of the x1 result without a skip, dB: an error of 4.5 of 255 levels, which is seen."""
LESS_CONSISTENT = 1.0
"""How far LR consistency may fall below bicubic's, dB: what is less may be chance."""

_FLAT_TRUTH = "The pictures have no energy beyond LR Nyquist themselves; take others with --data."


def no_skip(measures: Measures) -> Verdict:
    """Whether the network is busy with what bicubic has for nothing."""
    if measures.recipe.skip:
        return Verdict("fine", "The network adds to bicubic.")
    reached = measures.output.same_size
    if math.isnan(reached):
        sentence = "There is none, and no ×1 result either that would say what it costs."
        return Verdict("unknown", sentence)
    sentence = f"There is none, and the network draws the LR picture itself at {reached:.1f} dB"
    if reached >= REPRODUCED:
        return Verdict("fine", f"{sentence}, which is enough.")
    sentence += ": it is busy with what bicubic has for nothing."
    return Verdict("cause", sentence, "Set model.skip.")


def no_detail(measures: Measures) -> Verdict:
    """Whether there is more beyond LR Nyquist than bicubic's kernel leaves."""
    network, bicubic = measures.output.network.energy, measures.output.bicubic.energy
    if math.isnan(network):
        return Verdict("unknown", _FLAT_TRUTH)
    sentence = (
        f"Beyond LR Nyquist it has {network:.1%} of the truth's energy; bicubic has {bicubic:.1%}."
    )
    remedy = "The other causes say why; if there are none, compare (docs/experiments.md)."
    return judged(network <= MORE_THAN_BICUBIC * bicubic, sentence, remedy)


def invented(measures: Measures) -> Verdict:
    """Whether the detail is that of the truth."""
    output = measures.output
    if math.isnan(output.network.energy):
        return Verdict("unknown", _FLAT_TRUTH)
    if output.network.energy <= MORE_THAN_BICUBIC * output.bicubic.energy:
        return Verdict("absent", "The output has no detail that could be invented.")
    sentence = (
        f"Beyond LR Nyquist the truth has {output.network.slope:.2f} of the output's detail (1 is "
        f"the best guess, below {INVENTED:g} none would be better); its coherence is "
        f"{output.network.mean_coherence:.2f}, that of bicubic {output.bicubic.mean_coherence:.2f}."
    )
    remedy = "Lower the weights of adversarial and Fourier losses, or look for a shift of queries."
    return judged(output.network.slope < INVENTED, sentence, remedy)


def inconsistent(measures: Measures) -> Verdict:
    """Whether the output, shrunk again, is still the LR picture."""
    network, bicubic = measures.output.network.lr_psnr, measures.output.bicubic.lr_psnr
    sentence = f"Shrunk again it is {network:.1f} dB from the LR picture, bicubic {bicubic:.1f} dB."
    remedy = "Train for longer, with the skip and with targets of HR pixels."
    return judged(network < bicubic - LESS_CONSISTENT, sentence, remedy)
