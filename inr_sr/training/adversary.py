"""The adversary: a discriminator, its terms in the generator's loss, and its own training."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from inr_sr.data.loaders import sampling
from inr_sr.devices import PyTree
from inr_sr.errors import InputError
from inr_sr.models.discriminators import (
    DISCRIMINATORS,
    MIN_SIDE,
    STATISTICS,
    Discrimination,
    check_sides,
)
from inr_sr.models.parts import Params
from inr_sr.training.losses.adversarial import (
    GAMES,
    adaptive_weight,
    feature_matching,
    gradient_penalty,
)
from inr_sr.training.state import AdversaryState
from inr_sr.training.task import Batch, Constants, Metrics, PatchTask

Vjp = Callable[[PyTree], tuple[PyTree]]
"""Of `jax.vjp` by one argument: the gradient of the result to that of the argument."""


def default_config() -> ConfigDict:
    """The `adversarial` section of a configuration; docs/adversarial.md explains it."""
    config = ConfigDict()
    config.weight = 0.0  # of the adversarial term; 0: no adversary, and nothing below is used
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
    config.b1 = 0.0  # its decay of the mean gradient
    config.b2 = 0.99  # and of its square
    return config


def check(config: ConfigDict) -> None:
    """Checks the `adversarial` section, and that it fits the rest of `config`.

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
            "discriminator needs images, not scattered points"
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
            "weight depends on the gradients of a whole batch"
        )


class Adversary:
    """A discriminator of squares of the output, given the LR image.

    The gradients of generator and discriminator use the same generated images and the parameters
    before the step; then both are updated. So one forward pass of the generator serves both.

    Args:
      config: a full configuration that `check` accepts, with `adversarial.weight` above 0.
      task: the task whose images are discriminated.
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
        image = jnp.zeros((1, MIN_SIDE, MIN_SIDE, 3), jnp.float32)
        variables = jax.jit(self._discriminator.init)(key, image, image)
        params = variables["params"]
        return AdversaryState(params, variables[STATISTICS], self._optimizer.init(params))

    def discriminate(
        self, params: Params, statistics: Params, images: jax.Array, condition: jax.Array
    ) -> Discrimination:
        """Logits and features of images [B, n, m, 3]; `condition`: enlarged LR images, alike."""
        variables = {"params": params, STATISTICS: statistics}
        found = self._discriminator.apply(variables, images, condition)
        assert isinstance(found, Discrimination)  # flax knows no return types of modules
        return found

    def gradients(
        self,
        variables: tuple[Params, AdversaryState],
        batch: Batch,
        keys: jax.Array,
        constants: Constants,
    ) -> tuple[tuple[Params, Params], Metrics]:
        """Gradients by (params, discriminator params) for a batch, and metrics.

        The generator minimises reconstruction + weight · generator loss + feature_matching ·
        feature matching; the discriminator its loss + r1 R1 + r2 R2.
        """
        (params, state), task = variables, self._task
        condition, truth = task.condition(batch), task.truth(batch)
        out, params_vjp = jax.vjp(lambda p: task.generate(p, batch), params)
        (loss, metrics), out_grad = jax.value_and_grad(
            lambda x: task.reconstruction(x, batch, constants), has_aux=True
        )(out)
        values, values_vjp = jax.vjp(
            lambda x: self._generator_terms(state, task.images(x), truth, condition), out
        )
        weights = self._weights(params_vjp, out_grad, values_vjp)
        (grads,) = params_vjp(out_grad + values_vjp(weights)[0])
        loss = loss + sum(weights[name] * value for name, value in values.items())
        fakes = jax.lax.stop_gradient(task.images(out))
        own_grads, own_metrics = jax.grad(self._discriminator_loss, has_aux=True)(
            state.params, state.statistics, truth, fakes, condition
        )
        logged = {"adversary_weight": weights["adversary_generator"], **values, **own_metrics}
        return (grads, own_grads), {**metrics, **logged, "loss": loss}

    def updated(self, state: AdversaryState, gradients: Params) -> AdversaryState:
        """The state after a step; updates the spectral statistics by the parameters before it."""
        # Statistics do not depend on the image, so XLA drops the computation of its logits.
        image = jnp.zeros((1, MIN_SIDE, MIN_SIDE, 3), jnp.float32)
        variables = {"params": state.params, STATISTICS: state.statistics}
        _, moved = self._discriminator.apply(
            variables, image, image, update=True, mutable=[STATISTICS]
        )
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts and floats
            updates, opt_state = self._optimizer.update(gradients, state.opt_state)
        params = optax.apply_updates(state.params, updates)
        return AdversaryState(params, moved[STATISTICS], opt_state)

    def _generator_terms(
        self, state: AdversaryState, out: jax.Array, truth: jax.Array, condition: jax.Array
    ) -> Metrics:
        """The adversary's terms of the generator's loss, unweighted."""
        real = self.discriminate(state.params, state.statistics, truth, condition)
        fake = self.discriminate(state.params, state.statistics, out, condition)
        values = {"adversary_generator": self._game.generator(real.logits, fake.logits)}
        if self._config.feature_matching:
            values["feature_matching"] = feature_matching(real.features, fake.features)
        return values

    def _weights(self, params_vjp: Vjp, out_grad: jax.Array, values_vjp: Vjp) -> Metrics:
        """Weights of the terms of `_generator_terms`."""
        names = {"adversary_generator": "weight", "feature_matching": "feature_matching"}
        weights = {
            name: jnp.float32(self._config[field])
            for name, field in names.items()
            if self._config[field]
        }
        if self._config.adaptive:
            alone = {name: jnp.float32(name == "adversary_generator") for name in weights}
            # XLA drops the computation of the other layers' gradients.
            norms = [
                self._task.last_layer(params_vjp(cotangent)[0])
                for cotangent in (out_grad, values_vjp(alone)[0])
            ]
            weights["adversary_generator"] *= adaptive_weight(*norms)
        return weights

    def _discriminator_loss(
        self,
        params: Params,
        statistics: Params,
        truth: jax.Array,
        fakes: jax.Array,
        condition: jax.Array,
    ) -> tuple[jax.Array, Metrics]:
        """The discriminator's loss, and its parts as metrics."""

        def logits(images: jax.Array) -> jax.Array:
            return self.discriminate(params, statistics, images, condition).logits

        real, fake = logits(truth), logits(fakes)
        loss = self._game.discriminator(real, fake)
        values = {
            "adversary_discriminator": loss,
            "logits_real": jnp.mean(real),
            "logits_fake": jnp.mean(fake),
        }
        for name, images in (("r1", truth), ("r2", fakes)):
            if self._config[name]:
                values[name] = gradient_penalty(logits, images)
                loss = loss + self._config[name] * values[name]
        return loss, values
