"""All suspects, things that may keep images smooth; here those in the training run and the output.

A suspect is a function of the measures; docs/diagnosis.md explains each. The constants at the head
are the thresholds, each with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from inr_sr.studies.diagnosis import network_suspects
from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.verdict import STATES, Verdict, cause_or_fine

MAX_LATE_GAIN = 0.05
"""Gain of the score over the second half of the run above which longer training would gain more,
dB: more than most remedies in docs/experiments.md."""
MIN_ENERGY = 1.5
"""Minimum energy beyond LR Nyquist, as a multiple of bicubic's, which its kernel alone makes."""
MIN_SLOPE = 0.5
"""Slope of the truth on the detail below which no detail would be nearer to the truth."""
MIN_SAME_SIZE = 35.0
"""Minimum PSNR of the x1 result without a skip, dB: a visible error, of 4.5 of 255 levels."""
MAX_CONSISTENCY_LOSS = 1.0
"""How far LR consistency may fall below bicubic's, dB: less may be chance."""

_FLAT_TRUTH = "The images have no energy beyond LR Nyquist themselves; choose others with --data."


def targets(measures: Measures) -> Verdict:
    """Whether its targets hold detail."""
    recipe = measures.recipe
    if recipe.targets == "lr":
        sentence = "It was trained on the LR image itself, which holds no detail."
        return Verdict("cause", sentence, "Train with data.targets hr.")
    if recipe.targets == "pseudo_hr":
        sentence = "It was trained on bicubic enlargements, which can only teach bicubic."
        return Verdict("cause", sentence, "Train with data.targets hr.")
    if recipe.targets == "raw_hr":
        sentence = (
            f"Its queries were jittered by {recipe.jitter:g} output pixels and its targets were "
            "not: that teaches a blur."
        )
        return Verdict("cause", sentence, "Train with data.targets hr.")
    return Verdict("fine", "It was trained on HR pixels, taken at the places of its queries.")


def scales(measures: Measures) -> Verdict:
    """Whether the network was trained at this scale."""
    low, high = measures.recipe.scales
    sides = ", ".join(map(str, measures.recipe.sides))
    trained = f"×{low:g} alone" if low == high else f"×{low:g} to ×{high:g}"
    sentence = (
        f"This is ×{measures.scale:g}; it was trained at {trained}, on patches of {sides} LR "
        "pixels a side."
    )
    remedy = "Let data.min_scale and data.max_scale enclose the scales you need."
    return cause_or_fine(not low <= measures.scale <= high, sentence, remedy)


def places(measures: Measures) -> Verdict:
    """Whether queries fell on all places of an LR pixel."""
    recipe = measures.recipe
    low, high = recipe.scales
    if low < high:
        sentence = f"Scales of ×{low:g} to ×{high:g} put output pixels anywhere in an LR pixel."
        return Verdict("fine", sentence)
    if recipe.jitter:
        return Verdict("fine", f"Queries were jittered by {recipe.jitter:g} output pixels.")
    sentence = f"At ×{low:g} alone, without jitter, queries fell on {_places(low)}."
    remedy = "Train at a range of scales, or with data.jitter."
    return cause_or_fine(measures.scale != low, sentence, remedy)


def _places(scale: float) -> str:
    if scale == 1:
        return "the centres of LR pixels only"
    return f"{scale**2:g} places of an LR pixel only" if scale == int(scale) else "few places"


def squared_errors(measures: Measures) -> Verdict:
    """Whether the loss was the squared error alone, whose minimum is a mean of what is possible."""
    losses = measures.recipe.losses
    if set(losses) == {"mse"}:
        sentence = (
            "It was trained on them. One network cannot show whether another loss would bring more "
            "detail: compare, as e4_losses in docs/experiments.md does."
        )
        return Verdict("unknown", sentence)
    named = ", ".join(f"{name} {weight:g}" for name, weight in losses.items())
    return Verdict("fine", f"It was trained on {named}.")


def too_short(measures: Measures) -> Verdict:
    """Whether the score was still rising at the end of the run."""
    found, recipe = measures.course, measures.recipe
    if recipe.step < recipe.steps:
        return Verdict("unknown", f"It is still training: step {recipe.step} of {recipe.steps}.")
    if math.isnan(found.gain):
        return Verdict("unknown", "Its metrics.jsonl has no validation near half of its steps.")
    sentence = (
        f"From step {found.begun} to step {found.ended} the score on held-out images changed by "
        f"{found.gain:+.2f} dB."
    )
    return cause_or_fine(found.gain > MAX_LATE_GAIN, sentence, "Train for longer.")


def too_small(measures: Measures) -> Verdict:
    """The size of the decoder; only a comparison shows whether a larger one helps."""
    sentence = (
        f"Its decoder has {measures.recipe.parameters:,} parameters. One network cannot show "
        "whether more would help: compare, as e1_capacity in docs/experiments.md does."
    )
    return Verdict("unknown", sentence)


def no_skip(measures: Measures) -> Verdict:
    """Whether the network spends capacity on what bicubic gives for free."""
    if measures.recipe.skip:
        return Verdict("fine", "The network adds to bicubic.")
    reached = measures.output.same_size
    if math.isnan(reached):
        sentence = "There is none, and no ×1 result to show what that costs."
        return Verdict("unknown", sentence)
    sentence = f"There is none, and at ×1 the network reproduces the LR image at {reached:.1f} dB"
    if reached >= MIN_SAME_SIZE:
        return Verdict("fine", f"{sentence}, which is enough.")
    sentence += ": it spends capacity on what bicubic gives for free."
    return Verdict("cause", sentence, "Set model.skip.")


def no_detail(measures: Measures) -> Verdict:
    """Whether the output has more energy beyond LR Nyquist than bicubic."""
    network, bicubic = measures.output.network.energy, measures.output.bicubic.energy
    if math.isnan(network):
        return Verdict("unknown", _FLAT_TRUTH)
    sentence = (
        f"Beyond LR Nyquist it has {network:.1%} of the truth's energy; bicubic has {bicubic:.1%}."
    )
    remedy = "See the other causes; if there are none, compare (docs/experiments.md)."
    return cause_or_fine(network <= MIN_ENERGY * bicubic, sentence, remedy)


def invented(measures: Measures) -> Verdict:
    """Whether the detail agrees with the truth."""
    output = measures.output
    if math.isnan(output.network.energy):
        return Verdict("unknown", _FLAT_TRUTH)
    if output.network.energy <= MIN_ENERGY * output.bicubic.energy:
        return Verdict("absent", "The output has no detail.")
    sentence = (
        f"Beyond LR Nyquist the slope of the truth on the output is {output.network.slope:.2f} (1 "
        f"is the best guess, below {MIN_SLOPE:g} no detail would be better); its coherence is "
        f"{output.network.mean_coherence:.2f}, that of bicubic {output.bicubic.mean_coherence:.2f}."
    )
    remedy = "Lower the weights of adversarial and Fourier losses, or check queries for a shift."
    return cause_or_fine(output.network.slope < MIN_SLOPE, sentence, remedy)


def inconsistent(measures: Measures) -> Verdict:
    """Whether the output, shrunk again, equals the LR image."""
    network, bicubic = measures.output.network.lr_psnr, measures.output.bicubic.lr_psnr
    sentence = (
        f"Shrunk again it matches the LR image at {network:.1f} dB, bicubic at {bicubic:.1f} dB."
    )
    remedy = "Train for longer, with the skip and with targets of HR pixels."
    return cause_or_fine(network < bicubic - MAX_CONSISTENCY_LOSS, sentence, remedy)


SUSPECTS: dict[str, Callable[[Measures], Verdict]] = {
    "Targets without detail": targets,
    "Scales that were not trained": scales,
    "Queries that fall on few places": places,
    "Squared errors alone": squared_errors,
    "Training that ended too soon": too_short,
    "Decoder that is too small": too_small,
    "Frequencies that vanish": network_suspects.vanishing,
    "No frequency beyond LR Nyquist": network_suspects.low,
    "Frequencies that did not move": network_suspects.unmoved,
    "Waves that are alike": network_suspects.alike,
    "Too few waves to resolve details": network_suspects.too_few,
    "Waves beyond the output's Nyquist": network_suspects.wasted,
    "Modulation that is too smooth": network_suspects.smooth_modulation,
    "Attention that does not discriminate": network_suspects.indifferent,
    "Attention that reaches too far": network_suspects.far,
    "Tokens that are not used": network_suspects.unused,
    "No bicubic skip": no_skip,
    "No detail in the output": no_detail,
    "Detail that is invented": invented,
    "Output that contradicts the LR image": inconsistent,
}
"""In the order from training data to output."""


def verdicts(measures: Measures) -> dict[str, Verdict]:
    """The verdict on each suspect, in the order of STATES: causes first."""
    found = {suspect: verdict_on(measures) for suspect, verdict_on in SUSPECTS.items()}
    order = list(STATES)
    return dict(sorted(found.items(), key=lambda item: order.index(item[1].state)))
