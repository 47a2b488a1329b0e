"""An adversary: a discriminator, what it adds to a step, and how it is trained."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from inr_sr.data.loaders import sampling
from inr_sr.errors import InputError
from inr_sr.models.discriminators import (
    DISCRIMINATORS,
    LEAST_SIDE,
    STATISTICS,
    Judgement,
    check_sides,
)
from inr_sr.training.losses.adversarial import (
    GAMES,
    adaptive_weight,
    feature_matching,
    gradient_penalty,
)
from inr_sr.training.state import AdversaryState
from inr_sr.training.task import Metrics, PatchTask


def default_config() -> ConfigDict:
    """The `adversarial` section of a configuration; docs/adversarial.md explains it."""
    config = ConfigDict()
    config.weight = 0.0  # of the adversarial term; 0: no adversary, nothing below holds
    config.discriminator = "unet"  # unet: a logit per pixel | patch: one per 8 x 8
    config.width = 32  # channels of its first layer
    config.loss = "hinge"  # hinge | non_saturating | relativistic
    config.r1 = 0.0  # gamma of the gradient penalty at real images
    config.r2 = 0.0  # and at fakes
    config.feature_matching = 0.0  # weight of the L1 of the discriminator's features
    # Whether `weight` is a share of the reconstruction's gradient at the decoder's last layer.
    config.adaptive = False
    config.start = 0  # first step with the adversary, and the first in which it is trained
    config.learning_rate = 1e-4  # of the discriminator's Adam, constant
    config.b1 = 0.0
    config.b2 = 0.99
    return config


def check(config: ConfigDict) -> None:
    """Refuses an `adversarial` section that cannot work, alone or with the rest of `config`.

    Raises:
      InputError: naming the field, its value and what is allowed.
    """
    c = config.adversarial
    for name, known in (("discriminator", DISCRIMINATORS), ("loss", GAMES)):
        if c[name] not in known:
            raise InputError(
                f"unknown adversarial.{name} {c[name]!r}; there are: {', '.join(sorted(known))}"
            )
    for name in ("weight", "r1", "r2", "feature_matching", "start"):
        if not 0 <= c[name] < math.inf:
            raise InputError(f"adversarial.{name} {c[name]} must be at least 0, and finite")
    for name, fits, allowed in (
        ("width", c.width >= 1, "at least 1"),
        ("learning_rate", 0 < c.learning_rate < math.inf, "above 0, and finite"),
        ("b1", 0 <= c.b1 < 1, "at least 0 and below 1"),
        ("b2", 0 <= c.b2 < 1, "at least 0 and below 1"),
    ):
        if not fits:
            raise InputError(f"adversarial.{name} {c[name]} must be {allowed}")
    if c.weight:
        _check_together(config)


def _check_together(config: ConfigDict) -> None:
    c, data = config.adversarial, config.data
    if data.layout != "square":
        raise InputError(
            f"adversarial.weight {c.weight} needs data.layout = 'square', not {data.layout!r}: a "
            "discriminator judges pictures, not points apart"
        )
    side = sampling(config).side
    try:
        check_sides((side, side))
    except InputError as error:
        raise InputError(f"data.queries {data.queries}: {error}") from None
    if c.start >= config.train.steps:
        raise InputError(
            f"adversarial.start {c.start} must be below train.steps {config.train.steps}"
        )
    if c.adaptive and config.train.accumulate > 1:
        raise InputError(
            f"adversarial.adaptive needs train.accumulate = 1, not {config.train.accumulate}: the "
            "weight is of the gradients of a whole batch"
        )


class Adversary:
    """A discriminator that judges squares of the output, given the LR picture.

    Both sides' gradients are of the same fakes and of both networks as they were before the step,
    and only then are both updated: the generator goes first, in the common way of saying it, and
    its forward pass serves both. The other order would need every fake to be made, or kept, twice.

    Args:
      config: a full configuration with `adversarial.weight` above 0, which `check` has passed.
      task: whose images are judged.
    """

    def __init__(self, config: ConfigDict, task: PatchTask):
        self._config = config.adversarial
        self._discriminator = DISCRIMINATORS[self._config.discriminator](self._config.width)
        self._game = GAMES[self._config.loss]
        self._optimizer = optax.adam(
            self._config.learning_rate, b1=self._config.b1, b2=self._config.b2
        )
        self._task = task

    def create(self, key: jax.Array) -> AdversaryState:
        """The state before the first step."""
        nothing = jnp.zeros((1, LEAST_SIDE, LEAST_SIDE, 3), jnp.float32)
        variables = jax.jit(self._discriminator.init)(key, nothing, nothing)
        params = variables["params"]
        return AdversaryState(params, variables[STATISTICS], self._optimizer.init(params))

    def judge(
        self, params: Any, statistics: Any, pictures: jax.Array, condition: jax.Array
    ) -> Judgement:
        """Of pictures [B, n, m, 3], given the LR pictures of the same places, enlarged."""
        variables = {"params": params, STATISTICS: statistics}
        judgement: Any = self._discriminator.apply(variables, pictures, condition)
        return judgement

    def gradients(
        self, variables: tuple[Any, AdversaryState], batch: Any, key: jax.Array, constants: Any
    ) -> tuple[Any, Metrics]:
        """Gradients of (parameters, adversary's parameters) for a batch, and metrics.

        The generator minimises reconstruction + weight · loss of the game + feature matching, the
        discriminator the game's other loss + r1 R1 + r2 R2.
        """
        (params, state), task = variables, self._task
        condition, truth = task.condition(batch), task.truth(batch)
        out, by_params = jax.vjp(lambda p: task.generate(p, batch), params)
        (loss, metrics), by_out = jax.value_and_grad(
            lambda x: task.reconstruction(x, batch, constants), has_aux=True
        )(out)
        values, by_values = jax.vjp(
            lambda x: self._against(state, task.images(x), truth, condition), out
        )
        weights = self._weights(params, by_params, by_out, by_values)
        (grads,) = by_params(by_out + by_values(weights)[0])
        loss = loss + sum(weights[name] * value for name, value in values.items())
        fakes = jax.lax.stop_gradient(task.images(out))
        theirs, judged = jax.grad(self._loss, has_aux=True)(
            state.params, state.statistics, truth, fakes, condition
        )
        logged = {"adversary_weight": weights["adversary_generator"], **values, **judged}
        return (grads, theirs), {**metrics, **logged, "loss": loss}

    def updated(self, state: AdversaryState, gradients: Any) -> AdversaryState:
        """The state after a step; the spectral statistics move on with the step's parameters."""
        # They depend on no picture: this one is as good as any, and XLA computes nothing of it.
        nothing = jnp.zeros((1, LEAST_SIDE, LEAST_SIDE, 3), jnp.float32)
        variables = {"params": state.params, STATISTICS: state.statistics}
        _, moved = self._discriminator.apply(
            variables, nothing, nothing, update=True, mutable=[STATISTICS]
        )
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts and floats
            updates, opt_state = self._optimizer.update(gradients, state.opt_state)
        params = optax.apply_updates(state.params, updates)
        return AdversaryState(params, moved[STATISTICS], opt_state)

    def _against(
        self, state: AdversaryState, out: jax.Array, truth: jax.Array, condition: jax.Array
    ) -> Metrics:
        """The terms that the generator's loss gains, unweighted."""
        real = self.judge(state.params, state.statistics, truth, condition)
        fake = self.judge(state.params, state.statistics, out, condition)
        values = {"adversary_generator": self._game.generator(real.logits, fake.logits)}
        if self._config.feature_matching:
            values["feature_matching"] = feature_matching(real.features, fake.features)
        return values

    def _weights(
        self, params: Any, by_params: Callable, by_out: jax.Array, by_values: Callable
    ) -> Metrics:
        """What the terms of `_against` are weighted by."""
        names = {"adversary_generator": "weight", "feature_matching": "feature_matching"}
        weights = {
            name: jnp.float32(self._config[field])
            for name, field in names.items()
            if self._config[field]
        }
        if self._config.adaptive:
            alone = {name: jnp.float32(name == "adversary_generator") for name in weights}
            # XLA leaves out what lies below the last layer.
            norms = [
                self._task.last_layer(by_params(cotangent)[0])
                for cotangent in (by_out, by_values(alone)[0])
            ]
            weights["adversary_generator"] *= adaptive_weight(*norms)
        return weights

    def _loss(
        self,
        params: Any,
        statistics: Any,
        truth: jax.Array,
        fakes: jax.Array,
        condition: jax.Array,
    ) -> tuple[jax.Array, Metrics]:
        """What the discriminator minimises, and its parts for the journal."""

        def logits(pictures: jax.Array) -> jax.Array:
            return self.judge(params, statistics, pictures, condition).logits

        real, fake = logits(truth), logits(fakes)
        loss = self._game.discriminator(real, fake)
        values = {
            "adversary_discriminator": loss,
            "logits_real": jnp.mean(real),
            "logits_fake": jnp.mean(fake),
        }
        for name, pictures in (("r1", truth), ("r2", fakes)):
            if self._config[name]:
                values[name] = gradient_penalty(logits, pictures)
                loss = loss + self._config[name] * values[name]
        return loss, values
