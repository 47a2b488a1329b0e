"""What may keep a picture smooth, and what the measures say of each.

docs/diagnosis.md says more of what to do. A suspect is a function of the measures; the constants
at the head of its file are where it draws the line.
"""

from collections.abc import Callable

from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.suspects import decoder, output, training, waves
from inr_sr.studies.diagnosis.verdict import STATES, Verdict

SUSPECTS: dict[str, Callable[[Measures], Verdict]] = {
    "Targets without detail": training.targets,
    "Scales that were not trained": training.scales,
    "Queries that fall on few places": training.places,
    "Squared errors alone": training.squared_errors,
    "Training that ended too soon": training.too_short,
    "Decoder that is too small": decoder.too_small,
    "Frequencies that vanish": waves.vanishing,
    "No frequency beyond LR Nyquist": waves.low,
    "Frequencies that did not move": waves.unmoved,
    "Waves that are alike": waves.alike,
    "Waves too few to tell details apart": waves.too_few,
    "Waves beyond the output's Nyquist": waves.wasted,
    "Modulation that is too smooth": decoder.smooth_modulation,
    "Attention that does not discriminate": decoder.indifferent,
    "Attention that looks too far": decoder.far,
    "Tokens that are not used": decoder.unused,
    "No bicubic skip": output.no_skip,
    "No detail in the output": output.no_detail,
    "Detail that is invented": output.invented,
    "Output that contradicts the LR picture": output.inconsistent,
}
"""From the training's data to the network's output."""


def verdicts(measures: Measures) -> dict[str, Verdict]:
    """One of each suspect: causes first, then what cannot be told, then the others."""
    found = {suspect: judge(measures) for suspect, judge in SUSPECTS.items()}
    order = list(STATES)
    return dict(sorted(found.items(), key=lambda item: order.index(item[1].state)))
