"""Losses: named terms; their weighted sum is minimised, and each is logged.

A loss is a function of (prediction, target) in `formulas` and a line in LOSSES. A loss with weights
or fields of its own is a subclass of Loss in a file of its own.
"""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.data.samples import Sampling
from inr_sr.errors import InputError
from inr_sr.training.losses import formulas
from inr_sr.training.losses.formulas import Loss, Term
from inr_sr.training.losses.perceptual import PerceptualLoss

LOSSES: dict[str, Loss] = {
    "l1": Loss(formulas.l1, weight=1.0),
    "charbonnier": Loss(formulas.charbonnier),
    "mse": Loss(formulas.mse),
    "fourier": Loss(formulas.fourier, min_side=1),
    "gradient": Loss(formulas.gradient, min_side=formulas.MIN_SIDE),
    "laplacian": Loss(formulas.laplacian, min_side=formulas.MIN_SIDE),
    "perceptual": PerceptualLoss(),
}


def default_config() -> ConfigDict:
    """The `loss` section of a configuration: the weight of each term; 0 leaves it out."""
    return ConfigDict({name: loss.weight for name, loss in LOSSES.items()})


def default_sections() -> dict[str, ConfigDict]:
    """The configuration sections of losses with fields of their own, by the loss's name."""
    sections = {name: loss.default_config() for name, loss in LOSSES.items()}
    return {name: section for name, section in sections.items() if section is not None}


def check(config: ConfigDict, spec: Sampling) -> dict[str, float]:
    """The terms of a full configuration and their weights above 0; opens no file.

    Raises:
      InputError: no term, an unknown term, a term that does not fit the samples, or a weight that
        is negative or not finite.
    """
    weights = {name: float(weight) for name, weight in config.loss.items() if weight}
    if not weights or not all(0 < weight < math.inf for weight in weights.values()):
        raise InputError(
            f"loss weights {config.loss.to_dict()} must be finite and >= 0, at least one of them "
            "above 0"
        )
    for name in sorted(weights.keys() - LOSSES.keys()):
        raise InputError(f"unknown loss.{name}; there are: {', '.join(sorted(LOSSES))}")
    for name in weights:
        LOSSES[name].check(name, config, spec)
    return weights


def load(config: ConfigDict, weights: Mapping[str, float]) -> dict[str, Term]:
    """Terms with weights from files, on the host: callable pytrees by name.

    Raises:
      InputError: a file that cannot be read, or holds something else.
    """
    loaded = {name: LOSSES[name].load(config) for name in weights}
    return {name: term for name, term in loaded.items() if term is not None}


def terms(
    weights: Mapping[str, float],
    prediction: jax.Array,
    target: jax.Array,
    loaded: Mapping[str, Term],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The weighted sum of terms, and each unweighted term by name.

    Args:
      weights: weight of each term to compute.
      prediction, target: [B, Q, 3].
      loaded: what `load` returned, on the devices.
    """
    values = {
        name: (loaded[name] if name in loaded else LOSSES[name].function)(prediction, target)
        for name in weights
    }
    weighted = [weights[name] * value for name, value in values.items()]
    return functools.reduce(jnp.add, weighted), values
