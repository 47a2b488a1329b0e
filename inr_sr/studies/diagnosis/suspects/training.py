"""Suspects in what a network was trained on, and for how long."""

from __future__ import annotations

import math

from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.verdict import Verdict, judged

STILL_RISING = 0.05
"""Gain of the score since half of the training above which more would be gained, dB: more than
most remedies that docs/experiments.md measures are worth."""


def targets(measures: Measures) -> Verdict:
    """What the network was shown as the truth."""
    recipe = measures.recipe
    if recipe.targets == "lr":
        sentence = "It was trained on the LR picture itself, which holds no detail."
        return Verdict("cause", sentence, "Train with data.targets hr.")
    if recipe.targets == "pseudo_hr":
        sentence = "It was trained on bicubic enlargements: they can only teach bicubic."
        return Verdict("cause", sentence, "Train with data.targets hr.")
    if recipe.raw_targets and recipe.jitter:
        sentence = (
            f"Its queries were jittered by {recipe.jitter:g} output pixels and its targets were "
            "not: that teaches a blur."
        )
        return Verdict("cause", sentence, "Set data.raw_targets to False, or data.jitter to 0.")
    return Verdict("fine", "It was trained on HR pixels, taken where they are asked.")


def scales(measures: Measures) -> Verdict:
    """Whether the network has seen output pixels of this size."""
    low, high = measures.recipe.scales
    sides = ", ".join(map(str, measures.recipe.sides))
    trained = f"×{low:g} alone" if low == high else f"×{low:g} to ×{high:g}"
    sentence = (
        f"It is looked at at ×{measures.scale:g}, and was trained at {trained}, on patches of "
        f"{sides} LR pixels a side."
    )
    remedy = "Let data.min_scale and data.max_scale enclose the scales that are wanted."
    return judged(not low <= measures.scale <= high, sentence, remedy)


def places(measures: Measures) -> Verdict:
    """Whether queries fell anywhere in an LR pixel."""
    recipe = measures.recipe
    low, high = recipe.scales
    if low < high:
        sentence = f"Scales of ×{low:g} to ×{high:g} put output pixels anywhere in an LR pixel."
        return Verdict("fine", sentence)
    if recipe.jitter:
        return Verdict("fine", f"Queries were jittered by {recipe.jitter:g} output pixels.")
    sentence = f"At ×{low:g} alone, without jitter, queries fell on {_places(low)}."
    remedy = "Train at a range of scales, or with data.jitter."
    return judged(measures.scale != low, sentence, remedy)


def _places(scale: float) -> str:
    if scale == 1:
        return "the centres of LR pixels only"
    return f"{scale**2:g} places of an LR pixel only" if scale == int(scale) else "few places"


def squared_errors(measures: Measures) -> Verdict:
    """Whether nothing but squared errors was minimised, whose best guess is a mean."""
    losses = measures.recipe.losses
    if set(losses) == {"mse"}:
        sentence = (
            "It was trained on them. Whether another loss would draw more of what is there one "
            "network cannot tell: compare, as docs/experiments.md does in e4_losses."
        )
        return Verdict("unknown", sentence)
    named = ", ".join(f"{name} {weight:g}" for name, weight in losses.items())
    return Verdict("fine", f"It was trained on {named}.")


def too_short(measures: Measures) -> Verdict:
    """Whether the score was still rising when the training ended."""
    found, recipe = measures.course, measures.recipe
    if recipe.step < recipe.steps:
        return Verdict("unknown", f"It goes on: step {recipe.step} of {recipe.steps}.")
    if math.isnan(found.gain):
        return Verdict("unknown", "Its record has no evaluation near half of its steps.")
    sentence = (
        f"From step {found.begun} to step {found.ended} the score of held-out pictures changed by "
        f"{found.gain:+.2f} dB."
    )
    return judged(found.gain > STILL_RISING, sentence, "Train for longer.")
