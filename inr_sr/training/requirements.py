"""What a configuration must fulfil before a training begins."""

import jax
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.feed import check_mode, samplings
from inr_sr.errors import InputError
from inr_sr.training import adversary, losses, perceptual
from inr_sr.training.optimizer import make_optimizer


def check(config: ConfigDict) -> None:
    """Refuses what cannot work, without opening a file or tracing a program.

    Raises:
      InputError: naming the field, its value and what is allowed.
    """
    train = config.train
    for name in (
        "steps", "batch_size", "accumulate", "steps_per_dispatch",
        "log_every", "checkpoint_every", "eval_every",
    ):  # fmt: skip
        if train[name] < 1:
            raise InputError(f"train.{name} {train[name]} must be at least 1")
    if not -(2**63) <= config.seed < 2**63:
        raise InputError(f"seed {config.seed} must be an integer of 64 bits")
    if train.log_every > 10:
        raise InputError(
            f"train.log_every {train.log_every} must be at most 10: scripts rely on it"
        )
    _check_model(config)
    if not 0 <= train.ema < 1:
        raise InputError(f"train.ema {train.ema} must be at least 0 and below 1")
    share = train.accumulate * jax.device_count()
    if train.batch_size % share:
        raise InputError(
            f"train.batch_size {train.batch_size} must be a multiple of train.accumulate "
            f"{train.accumulate} times the number of devices {jax.device_count()}"
        )
    check_mode(config)
    specs = samplings(config)
    for spec in specs:
        losses.check(config.loss, spec)
    perceptual.check(config, specs[0])
    adversary.check(config)
    make_optimizer(config.optimizer, train.steps)
    if config.model.decoder == "pixel_shuffle":
        _check_pixel_shuffle(config)


def _check_model(config: ConfigDict) -> None:
    """Refuses a model that does not fit the data it is to be trained on."""
    trained = config.data.max_scale
    decoder = config.model.decoder
    known = config.model[decoder].get("max_scale", trained) if decoder in config.model else trained
    if known != trained:
        raise InputError(
            f"model.{decoder}.max_scale {known} must be the largest trained scale, data.max_scale "
            f"{trained}"
        )
    model = models.build(config.model)
    own = config.model.modulated
    per_picture = decoder == "modulated" and own.initialisation == "inverse_sigma"
    if per_picture and own.lr_size != config.data.patch:
        raise InputError(
            f"model.modulated.lr_size {own.lr_size} must be the side of the trained patches, "
            f"data.patch {config.data.patch}: inverse_sigma counts cycles per picture"
        )
    if hasattr(model.encoder, "check_size"):
        model.encoder.check_size(config.data.patch, config.data.patch)
    if model.receptive_field is None and config.model.trained_size != config.data.patch:
        raise InputError(
            f"model.trained_size {config.model.trained_size} must be the side of the trained "
            f"patches, data.patch {config.data.patch}: this model looks at whole pictures"
        )


def _check_pixel_shuffle(config: ConfigDict) -> None:
    """Refuses data of which a decoder of one scale knows nothing."""
    scales = {config.data.min_scale, config.data.max_scale}
    if config.data.targets == "lr" or config.data.jitter:
        raise InputError(
            "a pixel_shuffle decoder knows its output pixels alone: data.targets 'lr' and "
            "data.jitter are not for it"
        )
    if scales != {float(config.model.pixel_shuffle.scale)}:
        raise InputError(
            f"a pixel_shuffle decoder of scale {config.model.pixel_shuffle.scale} needs "
            f"data.min_scale = data.max_scale = that, not {sorted(scales)}"
        )
