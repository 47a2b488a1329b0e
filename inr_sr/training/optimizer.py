"""AdamW by groups: kernels, parameters without decay, and frequencies at their own rate."""

import math
from collections.abc import Callable

import optax
from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from inr_sr.errors import InputError
from inr_sr.models.parts import FREQUENCIES, KERNELS, UNDECAYED, Labels, Params


def default_config() -> ConfigDict:
    """The `optimizer` section of a configuration."""
    config = ConfigDict()
    config.learning_rate = 1e-3  # its maximum, after the warm-up
    # Steps of linear warm-up, at most half of all; then cosine to 0.
    config.warmup = 200
    config.weight_decay = 0.0  # of kernels only
    config.b1 = 0.9  # Adam's decay of the mean gradient
    config.b2 = 0.99  # and of its square
    config.clip = 1.0  # maximum of the global gradient norm
    config.frequency_multiplier = 1.0  # frequencies' rate, times learning_rate
    config.frequency_schedule = "cosine"  # cosine | constant (after the warm-up)
    config.frequency_warmup = placeholder(int)  # steps; None: as warmup
    return config


def check(config: ConfigDict) -> None:
    """Raises InputError for an `optimizer` section that cannot work; it names the field."""
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
    """Learning rates by step: of the weights, and of the frequency matrices.

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


def make_optimizer(
    config: ConfigDict, steps: int, labels: Callable[[Params], Labels]
) -> optax.GradientTransformation:
    """Clips the global gradient norm, then applies Adam by group; only kernels decay.

    Args:
      config: `optimizer` section of a configuration.
      steps: of the whole run.
      labels: from parameters to the group of each, a tree like them; see `models.parts`.

    Raises:
      InputError: an unknown schedule, or a number out of its range.
    """
    check(config)
    weights, frequencies = schedules(config, steps)

    def adam(schedule: optax.Schedule, decay: float) -> optax.GradientTransformation:
        return optax.adamw(schedule, b1=config.b1, b2=config.b2, weight_decay=decay)

    parts = {
        FREQUENCIES: adam(frequencies, 0.0),
        UNDECAYED: adam(weights, 0.0),
        KERNELS: adam(weights, config.weight_decay),
    }

    return optax.chain(optax.clip_by_global_norm(config.clip), optax.partition(parts, labels))
