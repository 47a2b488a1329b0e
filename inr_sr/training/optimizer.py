"""AdamW in parts: kernels, what never decays, and the frequency matrices at their own rate."""

import math
import re
from typing import Any

import jax
import optax
from ml_collections import ConfigDict

from inr_sr.errors import InputError

# First match wins; a parameter that matches none is an error, so that none changes sides unseen.
RULES = (
    ("frequencies", r"frequencies_(\d+|query)$"),
    ("undecayed", r"(bias|bias_\d+|scale|gains|tokens|log_\w+|through_\w+)$"),
    ("kernels", r"(kernel|kernel_\d+|coordinate)$"),
)


def labels(params: Any) -> Any:
    """The part that each parameter belongs to, by its path, e.g. decoder/frequencies_0.

    Raises:
      ValueError: a parameter that no rule covers.
    """

    def label(path: tuple[Any, ...], _: Any) -> str:
        name = "/".join(str(key.key) for key in path)
        for part, rule in RULES:
            if re.search(rule, name):
                return part
        raise ValueError(f"no rule of the optimizer covers parameter {name!r}")

    return jax.tree_util.tree_map_with_path(label, params)


def _check_numbers(config: ConfigDict) -> None:
    for name, fits, allowed in (
        ("learning_rate", 0 < config.learning_rate < math.inf, "above 0, and finite"),
        (
            "frequency_multiplier",
            0 <= config.frequency_multiplier < math.inf,
            "at least 0, and finite",
        ),
        ("warmup", config.warmup >= 0, "at least 0"),
        ("frequency_warmup", (config.frequency_warmup or 0) >= 0, "at least 0"),
        ("weight_decay", 0 <= config.weight_decay < math.inf, "at least 0, and finite"),
        ("clip", config.clip > 0, "above 0"),
        ("b1", 0 <= config.b1 < 1, "at least 0 and below 1"),
        ("b2", 0 <= config.b2 < 1, "at least 0 and below 1"),
    ):
        if not fits:
            raise InputError(f"optimizer.{name} {config[name]} must be {allowed}")


def schedules(config: ConfigDict, steps: int) -> tuple[optax.Schedule, optax.Schedule]:
    """Learning rate of the weights, and of the frequency matrices, by step.

    Raises:
      InputError: an unknown schedule.
    """

    def schedule(kind: str, peak: float, warmup: int) -> optax.Schedule:
        warmup = min(warmup, max(steps // 2, 1))
        rise = optax.linear_schedule(peak / max(warmup, 1), peak, max(warmup, 1))
        shapes = {
            "cosine": optax.cosine_decay_schedule(peak, max(steps - warmup, 1)),
            "constant": optax.constant_schedule(peak),
        }
        if kind not in shapes:
            raise InputError(
                f"optimizer.frequency_schedule {kind!r} must be one of {', '.join(shapes)}"
            )
        return optax.join_schedules([rise, shapes[kind]], [warmup])

    rate, own = config.learning_rate, config.frequency_warmup
    frequency_rate = rate * config.frequency_multiplier
    return (
        schedule("cosine", rate, config.warmup),
        schedule(config.frequency_schedule, frequency_rate, config.warmup if own is None else own),
    )


def make_optimizer(config: ConfigDict, steps: int) -> optax.GradientTransformation:
    """Clipping over all parameters, then Adam per part; only kernels decay.

    Args:
      config: `optimizer` section of a configuration.
      steps: length of the training.

    Raises:
      InputError: an unknown schedule, or a number out of its range.
    """
    _check_numbers(config)
    weights, frequencies = schedules(config, steps)

    def adam(schedule: optax.Schedule, decay: float) -> optax.GradientTransformation:
        return optax.adamw(schedule, b1=config.b1, b2=config.b2, weight_decay=decay)

    parts = {
        "frequencies": adam(frequencies, 0.0),
        "undecayed": adam(weights, 0.0),
        "kernels": adam(weights, config.weight_decay),
    }

    return optax.chain(optax.clip_by_global_norm(config.clip), optax.partition(parts, labels))
