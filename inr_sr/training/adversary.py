"""The adversary of a training: a discriminator, what it adds to a step, and how it learns."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from inr_sr.data.feed import sampling
from inr_sr.data.samples import Batch, squares
from inr_sr.errors import InputError
from inr_sr.models import Model
from inr_sr.models.discriminators import (
    DISCRIMINATORS,
    LEAST_SIDE,
    STATISTICS,
    Judgement,
    check_sides,
)
from inr_sr.models.field import SKIP_REACH, with_margin
from inr_sr.resampling import bicubic
from inr_sr.training.adversarial_losses import (
    GAMES,
    adaptive_weight,
    feature_matching,
    gradient_penalty,
)
from inr_sr.training.state import AdversaryState

Values = dict[str, jax.Array]
Generate = Callable[[Any, Batch], jax.Array]  # parameters, batch -> [B, Q, 3]
Reconstruct = Callable[[jax.Array, Batch], tuple[jax.Array, Values]]  # loss, metrics of [B, Q, 3]


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
      model: whose output is judged.
    """

    def __init__(self, config: ConfigDict, model: Model):
        self._config = config.adversarial
        self._discriminator = DISCRIMINATORS[self._config.discriminator](self._config.width)
        self._game = GAMES[self._config.loss]
        self._optimizer = optax.adam(
            self._config.learning_rate, b1=self._config.b1, b2=self._config.b2
        )
        self._last_layer = model.last_layer

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

    def gradients(self, generate: Generate, reconstruct: Reconstruct) -> Callable[..., Any]:
        """The function ((parameters, AdversaryState), batch) -> (gradients of both, metrics).

        It minimises reconstruction + weight · loss of the game + feature matching on one side, and
        the game's other loss + r1 R1 + r2 R2 on the other.
        """

        def of_batch(variables: tuple[Any, AdversaryState], batch: Batch) -> tuple[Any, Values]:
            params, state = variables
            condition = squares(
                bicubic.sample(with_margin(batch.lr, 0, SKIP_REACH), batch.cell, batch.delta)
            )
            truth = squares(batch.target)
            out, by_params = jax.vjp(lambda p: generate(p, batch), params)
            (loss, metrics), by_out = jax.value_and_grad(
                lambda x: reconstruct(x, batch), has_aux=True
            )(out)
            values, by_values = jax.vjp(lambda x: self._against(state, x, truth, condition), out)
            weights = self._weights(params, by_params, by_out, by_values)
            (grads,) = by_params(by_out + by_values(weights)[0])
            loss = loss + sum(weights[name] * value for name, value in values.items())
            fakes = jax.lax.stop_gradient(squares(out))
            theirs, judged = jax.grad(self._loss, has_aux=True)(
                state.params, state.statistics, truth, fakes, condition
            )
            told = {"adversary_weight": weights["adversary_generator"], **values, **judged}
            return (grads, theirs), {**metrics, **told, "loss": loss}

        return of_batch

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
    ) -> Values:
        """The terms that the generator's loss gains, unweighted."""
        real = self.judge(state.params, state.statistics, truth, condition)
        fake = self.judge(state.params, state.statistics, squares(out), condition)
        values = {"adversary_generator": self._game.generator(real.logits, fake.logits)}
        if self._config.feature_matching:
            values["feature_matching"] = feature_matching(real.features, fake.features)
        return values

    def _weights(
        self, params: Any, by_params: Callable, by_out: jax.Array, by_values: Callable
    ) -> Values:
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
                self._last_layer(by_params(cotangent)[0])
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
    ) -> tuple[jax.Array, Values]:
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
