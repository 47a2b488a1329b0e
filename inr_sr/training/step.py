"""The training step: a batch, its gradients, the update; several steps in one program, on a mesh.

A batch is cut into `train.accumulate` slices, which follow each other; each slice is spread over
the devices. All randomness of step t comes from fold_in(key, t), so a run resumes bit-identically.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr.coordinates import Integer
from inr_sr.data.loaders import Data
from inr_sr.devices import PyTree, on_cpu, sharded
from inr_sr.evaluation.metrics import MAX_DB
from inr_sr.models.parts import Params
from inr_sr.training import frequencies
from inr_sr.training.adversary import Adversary
from inr_sr.training.optimizer import schedules
from inr_sr.training.state import TrainState
from inr_sr.training.task import Constants, Metrics, Task

# advance(state, data, count) -> (state, metrics of the last of the count steps)
Advance = Callable[[TrainState, Data, int], tuple[TrainState, Metrics]]
# gradients(params, key, data, constants) -> (gradients, metrics), means over a batch
Gradients = Callable[[PyTree, jax.Array, Data, Constants], tuple[PyTree, Metrics]]

LOSS_KEY = 2**31 - 1
"""Index of a sample's key for the loss; those of the batch come from a split, indices 0 and 1."""


def make_advance(
    config: ConfigDict,
    task: Task,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    adversary: Adversary | None = None,
    constants: Constants = (),
) -> Advance:
    """The function that runs `count` <= train.steps_per_dispatch training steps on the devices.

    Its `data` is what the task's loader returned: an array [steps_per_dispatch, batch, ...], or
    another pytree that all steps and samples share. `count` is data, not shape, so one program
    serves every number of steps. The state is donated.

    Args:
      config: a full configuration.
      task: what is trained.
      optimizer: of the task's parameters, see `optimizer.make_optimizer`.
      mesh: the devices.
      adversary: trained with the task in these steps; None leaves its state unchanged.
      constants: the task's constants, on the devices.
    """
    step = _Step(config, task, optimizer, mesh, adversary)
    only = 0 if task.shapes == 1 else None
    if loops_are_slow():
        return _one_by_one(step, constants, only)
    return _looped(step, constants, only)


@dataclasses.dataclass(frozen=True, eq=False)  # compiled methods are looked up by identity
class _Step:
    """One training step; for the attributes see `make_advance`."""

    config: ConfigDict
    task: Task
    optimizer: optax.GradientTransformation
    mesh: Mesh
    adversary: Adversary | None

    def __call__(
        self, state: TrainState, data: Data, constants: Constants, shape: int | None
    ) -> tuple[TrainState, Metrics]:
        """The state after the step, and float32 metrics.

        Args:
          state: the state before the step.
          data: of this step.
          constants: the task's constants.
          shape: index of the batch's shape; None: drawn on the device.
        """
        adversary_state = state.adversary
        if self.adversary is None:
            grads, metrics = self._gradients(state, state.params, data, constants, shape)
        else:
            assert adversary_state is not None
            params = (state.params, adversary_state)
            (grads, adversary_grads), metrics = self._gradients(
                state, params, data, constants, shape
            )
            adversary_state = self.adversary.updated(adversary_state, adversary_grads)
            metrics["adversary_gradient_norm"] = optax.tree.norm(adversary_grads)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts and floats
            updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        keep = ema_decay(self.config.train.ema, state.step)
        ema = optax.incremental_update(params, state.ema, 1 - keep)
        metrics.update(self._step_metrics(state, params, grads, metrics))
        new = TrainState(state.step + 1, params, ema, opt_state, state.rng, adversary_state)
        return new, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), metrics)

    def shape(self, state: TrainState) -> jax.Array:
        """Index of the batch's shape in the step after `state`."""
        return random_shape(state.rng, state.step, self.task.shapes)

    def _gradients(
        self, state: TrainState, params: PyTree, data: Data, constants: Constants, shape: int | None
    ) -> tuple[PyTree, Metrics]:
        by_shape = [
            make_gradients(self.config, self.task, index, self.mesh, self.adversary)
            for index in range(self.task.shapes)
        ]
        arguments = (params, step_key(state.rng, state.step), data, constants)
        if shape is not None:
            return by_shape[shape](*arguments)
        found: tuple[PyTree, Metrics] = jax.lax.switch(self.shape(state), by_shape, *arguments)
        return found

    def _step_metrics(
        self, state: TrainState, params: Params, grads: Params, metrics: Metrics
    ) -> Metrics:
        """Metrics of every task's steps; replaces "error" in `metrics` by "psnr"."""
        rate, frequency_rate = schedules(self.config.optimizer, self.config.train.steps)
        with jax.numpy_dtype_promotion("standard"):
            rates = {
                "learning_rate": rate(state.step),
                "frequency_learning_rate": frequency_rate(state.step),
            }
        found = {"gradient_norm": optax.tree.norm(grads), **rates}
        if "error" in metrics:
            # A squared error of zero would be infinite decibels, which JSON cannot hold.
            error = jnp.maximum(metrics.pop("error"), 10 ** (-MAX_DB / 10))
            found["psnr"] = -10 * jnp.log10(error)
        labels = self.task.labels(params)
        return {
            **found,
            **frequencies.gradient_norm(grads, labels),
            **frequencies.statistics(params, labels),
            **self.task.statistics(params),
        }


def make_gradients(
    config: ConfigDict, task: Task, shape: int, mesh: Mesh, adversary: Adversary | None = None
) -> Gradients:
    """The function from a step's data to gradients and metrics, means over the whole batch.

    Args:
      config: a full configuration.
      task: what is trained.
      shape: index of the batch's shape.
      mesh: the devices.
      adversary: if given, `params` and gradients are pairs: the task's and the adversary's, where
        the adversary's params are an AdversaryState.
    """
    batch_size, slices = config.train.batch_size, config.train.accumulate
    if adversary is None:
        of_batch = jax.grad(task.loss, has_aux=True)
    else:
        of_batch = adversary.gradients

    def sliced(x: jax.Array) -> jax.Array:
        x = x.reshape(slices, batch_size // slices, *x.shape[1:])
        spread: jax.Array = jax.lax.with_sharding_constraint(x, sharded(mesh))
        return spread

    def gradients(
        params: PyTree, key: jax.Array, data: Data, constants: Constants
    ) -> tuple[PyTree, Metrics]:
        # One key per sample: results do not depend on how the batch is cut or spread.
        keys = sliced(jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(batch_size)))

        def of_slice(keys: jax.Array, data: Data) -> tuple[PyTree, Metrics]:
            batch = task.batch(keys, data, shape)
            loss_keys = jax.vmap(lambda key: jax.random.fold_in(key, LOSS_KEY))(keys)
            found: tuple[PyTree, Metrics] = of_batch(params, batch, loss_keys, constants)
            return found

        if isinstance(data, jax.Array):
            total = _summed(lambda part: of_slice(*part), (keys, sliced(data)))
        else:
            total = _summed(lambda part: of_slice(part, data), keys)
        mean: tuple[PyTree, Metrics] = jax.tree.map(lambda x: x / slices, total)
        return mean

    return gradients


def _summed(function: Callable[[PyTree], PyTree], parts: PyTree) -> PyTree:
    """Sum of `function` over the slices: the entries along the first axis of the leaves."""
    count = len(jax.tree.leaves(parts)[0])
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(total: PyTree, part: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, function(part)), None

    if not loops_are_slow():
        return jax.lax.scan(add, zero, parts)[0]
    total = zero
    for i in range(count):
        total, _ = add(total, jax.tree.map(lambda x, i=i: x[i], parts))
    return total


def step_key(rng: jax.Array, step: jax.Array) -> jax.Array:
    """The key of all randomness of a step."""
    return jax.random.fold_in(jax.random.wrap_key_data(rng), step)


def random_shape(rng: jax.Array, step: jax.Array, count: int) -> jax.Array:
    """Index of a step's batch shape, int32 in [0, count), uniform."""
    return jax.random.randint(jax.random.fold_in(step_key(rng, step), 2**30), (), 0, count)


def ema_decay(decay: float, step: jax.Array) -> jax.Array:
    """Decay of the average at `step`; smaller in early steps, so that the average forgets them."""
    t = step.astype(jnp.float32)
    return jnp.minimum(decay, (1 + t) / (10 + t))


def loops_are_slow() -> bool:
    """Whether convolution gradients must stay out of compiled loops.

    XLA's CPU backend runs them there some 80 times slower (github.com/jax-ml/jax/issues/12868),
    and a dispatch costs next to nothing on a CPU.
    """
    return on_cpu()


def _one_by_one(step: _Step, constants: Constants, only: int | None) -> Advance:
    """One dispatch per step."""
    single = jax.jit(step.__call__, donate_argnums=0, static_argnums=3)
    next_shape = jax.jit(step.shape)

    def advance(state: TrainState, data: Data, count: int) -> tuple[TrainState, Metrics]:
        for i in range(count):
            shape = int(next_shape(state)) if only is None else only
            state, metrics = single(state, _at(data, i), constants, shape)
        return state, metrics

    return advance


def _looped(step: _Step, constants: Constants, only: int | None) -> Advance:
    """All steps in one dispatch."""

    def steps(
        state: TrainState, data: Data, count: jax.Array, constants: Constants
    ) -> tuple[TrainState, Metrics]:
        def body(i: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            return step(carry[0], _at(data, i), constants, only)

        shapes = jax.eval_shape(lambda s: step(s, _at(data, 0), constants, only)[1], state)
        nothing = jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), shapes)
        begun = (state, nothing)
        ended: tuple[TrainState, Metrics] = jax.lax.fori_loop(0, count, body, begun)
        return ended

    compiled = jax.jit(steps, donate_argnums=0)
    return lambda state, data, count: compiled(state, data, count, constants)


def _at(data: Data, i: Integer) -> Data:
    """The data of step `i` of a dispatch."""
    return data[i] if isinstance(data, jax.Array | np.ndarray) else data
