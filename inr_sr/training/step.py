"""The training step: several of them in one compiled program, data-parallel over a mesh."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr.data.resident import ResidentSet
from inr_sr.data.samples import Sampling
from inr_sr.evaluation.metrics import MAX_DB
from inr_sr.models import Model
from inr_sr.training import frequencies, gradients
from inr_sr.training.adversary import Adversary
from inr_sr.training.gradients import Metrics, make_gradients
from inr_sr.training.optimizer import schedules
from inr_sr.training.perceptual import Perceptual
from inr_sr.training.state import TrainState

# advance(state, data, count) -> (state, metrics of the last of the count steps)
Advance = Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]


def ema_decay(decay: float, step: jax.Array) -> jax.Array:
    """Decay at `step`: a short memory at first, so that the average forgets its start."""
    t = step.astype(jnp.float32)
    return jnp.minimum(decay, (1 + t) / (10 + t))


def step_key(rng: jax.Array, step: jax.Array) -> jax.Array:
    """The key of all randomness of a step."""
    return jax.random.fold_in(jax.random.wrap_key_data(rng), step)


def drawn_size(rng: jax.Array, step: jax.Array, count: int) -> jax.Array:
    """Which of the sides of LR patches a step has, as likely as any other."""
    return jax.random.randint(jax.random.fold_in(step_key(rng, step), 2**30), (), 0, count)


@dataclasses.dataclass(frozen=True, eq=False)  # compiled methods are looked up by identity
class _Step:
    """One training step.

    Attributes:
      config, model, optimizer, specs, mesh, adversary: see `make_advance`.
    """

    config: ConfigDict
    model: Model
    optimizer: optax.GradientTransformation
    specs: Sequence[Sampling]
    mesh: Mesh
    adversary: Adversary | None

    def __call__(
        self, state: TrainState, data: Any, perceptual: Perceptual | None, size: int | None
    ) -> tuple[TrainState, Metrics]:
        """The state after the step, and float32 metrics.

        Args:
          state: before it.
          data: a ResidentSet, or the crops of this step.
          perceptual: the term, where it has a weight. An argument: closed over, its network would
            become constants.
          size: which of `specs` the samples have; None: the one that is drawn, on the device.
        """
        opponent = state.adversary
        if self.adversary is None:
            grads, metrics = self._gradients(state, state.params, data, perceptual, size)
        else:
            assert opponent is not None
            both = (state.params, opponent)
            (grads, theirs), metrics = self._gradients(state, both, data, perceptual, size)
            opponent = self.adversary.updated(opponent, theirs)
            metrics["adversary_gradient_norm"] = optax.tree.norm(theirs)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts and floats
            updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        keep = ema_decay(self.config.train.ema, state.step)
        ema = optax.incremental_update(params, state.ema, 1 - keep)
        error = metrics.pop("error")
        metrics.update(self._told(state, params, grads, error))
        new = TrainState(state.step + 1, params, ema, opt_state, state.rng, opponent)
        return new, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), metrics)

    def drawn(self, state: TrainState) -> jax.Array:
        """Which of `specs` is drawn."""
        return drawn_size(state.rng, state.step, len(self.specs))

    def _gradients(
        self,
        state: TrainState,
        params: Any,
        data: Any,
        perceptual: Perceptual | None,
        size: int | None,
    ) -> tuple[Any, Metrics]:
        kinds = [
            make_gradients(self.config, self.model, spec, self.mesh, perceptual, self.adversary)
            for spec in self.specs
        ]
        key = step_key(state.rng, state.step)
        if size is not None:
            return kinds[size](params, key, data)
        found: tuple[Any, Metrics] = jax.lax.switch(self.drawn(state), kinds, params, key, data)
        return found

    def _told(self, state: TrainState, params: Any, grads: Any, error: jax.Array) -> Metrics:
        """The metrics that every step has beside the terms of its loss."""
        rate, frequency_rate = schedules(self.config.optimizer, self.config.train.steps)
        with jax.numpy_dtype_promotion("standard"):
            rates = {
                "learning_rate": rate(state.step),
                "frequency_learning_rate": frequency_rate(state.step),
            }
        return {
            # An error of zero would be infinite decibels, which JSON cannot hold.
            "psnr": -10 * jnp.log10(jnp.maximum(error, 10 ** (-MAX_DB / 10))),
            "gradient_norm": optax.tree.norm(grads),
            **rates,
            **frequencies.gradient_norm(grads),
            **frequencies.statistics(params),
        }


def make_advance(
    config: ConfigDict,
    model: Model,
    optimizer: optax.GradientTransformation,
    specs: Sequence[Sampling],
    mesh: Mesh,
    perceptual: Perceptual | None = None,
    adversary: Adversary | None = None,
) -> Advance:
    """The function that runs `count` <= steps_per_dispatch training steps on the devices.

    Each step has samples of one of `specs`, see `data.feed.samplings`. Steps with an `adversary`
    train both networks; without one they leave alone what the state has of it.

    Its `data` is a ResidentSet, or the uint8 crops of a `data.feed.StreamFeed`. The
    count is data, so that one program serves every stretch between looks from the host. The
    state is donated. `perceptual` lies on the devices.
    """
    step = _Step(config, model, optimizer, specs, mesh, adversary)
    only = 0 if len(specs) == 1 else None
    if gradients.loops_are_slow():
        return _one_by_one(step, perceptual, only)
    return _looped(step, perceptual, only)


def _one_by_one(step: _Step, perceptual: Perceptual | None, only: int | None) -> Advance:
    """A dispatch for each step."""
    single = jax.jit(step.__call__, donate_argnums=0, static_argnums=3)
    drawn = jax.jit(step.drawn)

    def advance(state: TrainState, data: Any, count: int) -> tuple[TrainState, Metrics]:
        for i in range(count):
            size = int(drawn(state)) if only is None else only
            state, metrics = single(state, _at(data, i), perceptual, size)
        return state, metrics

    return advance


def _looped(step: _Step, perceptual: Perceptual | None, only: int | None) -> Advance:
    """All steps in one program."""

    def steps(
        state: TrainState, data: Any, count: jax.Array, perceptual: Perceptual | None
    ) -> tuple[TrainState, Metrics]:
        def body(i: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            return step(carry[0], _at(data, i), perceptual, only)

        shapes = jax.eval_shape(lambda s: step(s, _at(data, 0), perceptual, only)[1], state)
        nothing = jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), shapes)
        return jax.lax.fori_loop(0, count, body, (state, nothing))

    compiled = jax.jit(steps, donate_argnums=0)
    return lambda state, data, count: compiled(state, data, count, perceptual)


def _at(data: Any, i: Any) -> Any:
    """What step `i` of a dispatch is given."""
    return data if isinstance(data, ResidentSet) else data[i]
