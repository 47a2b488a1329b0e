"""The training step: several of them in one compiled program, data-parallel over a mesh."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr import render
from inr_sr.coordinates import upright_footprint
from inr_sr.data.resident import ResidentSet
from inr_sr.data.samples import Batch, Sampling, make_batch
from inr_sr.devices import on_cpu, spread
from inr_sr.models import Model
from inr_sr.training import frequencies, losses
from inr_sr.training.adversary import Adversary
from inr_sr.training.optimizer import schedules
from inr_sr.training.perceptual import Perceptual
from inr_sr.training.state import TrainState

SMALLEST_MSE = 1e-10

Metrics = dict[str, jax.Array]
# advance(state, data, count) -> (state, metrics of the last of the count steps)
Advance = Callable[[TrainState, Any, Any], tuple[TrainState, Metrics]]


def loops_are_slow() -> bool:
    """Whether convolution gradients must stay out of compiled loops.

    XLA's CPU backend runs them there some 80 times slower (github.com/jax-ml/jax/issues/12868),
    and a dispatch costs next to nothing on a CPU.
    """
    return on_cpu()


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


def make_gradients(
    config: ConfigDict,
    model: Model,
    spec: Sampling,
    mesh: Mesh,
    perceptual: Perceptual | None = None,
    adversary: Adversary | None = None,
) -> Callable[[Any, jax.Array, Any], tuple[Any, Metrics]]:
    """gradients(params, key, data) of one batch: mean over all its samples.

    With an adversary, `params` are a pair: the parameters and an AdversaryState; so are gradients.

    `data` is a ResidentSet, or uint8 crops [batch, candidates, crop, crop, 3]. The batch is cut
    into `train.accumulate` slices, one after the other, each spread over the mesh. `perceptual` is
    the term of `loss.perceptual`, where that is above 0.
    """
    batch_size, slices = config.train.batch_size, config.train.accumulate
    weights = losses.check(config.loss, spec)
    sharding = spread(mesh)

    def rendered(field: Any, batch: Batch) -> jax.Array:
        # A processor gathers what is asked sooner than it makes all slots of a dense patch.
        if spec.layout == "points" or on_cpu():
            footprint = upright_footprint(batch.size[:, None])
            return render.points(field, batch.cell, batch.delta, footprint)
        side, slots = math.isqrt(spec.queries), math.ceil(spec.max_scale)
        cell, delta = (x.reshape(len(x), side, side, 2) for x in (batch.cell, batch.delta))
        out = render.patches(field, cell, delta, batch.size, slots)
        return out.reshape(batch.target.shape)

    def generate(params: Any, batch: Batch) -> jax.Array:
        field: Any = model.apply({"params": params}, batch.lr)
        return rendered(field, batch)

    def reconstruct(out: jax.Array, batch: Batch) -> tuple[jax.Array, Metrics]:
        total, values = losses.terms(weights, out, batch.target, perceptual)
        return total, {**values, "loss": total, "error": losses.mse(out, batch.target)}

    def loss(params: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        return reconstruct(generate(params, batch), batch)

    if adversary is None:
        batch_gradients = jax.grad(loss, has_aux=True)
    else:
        batch_gradients = adversary.gradients(generate, reconstruct)

    def sliced(x: jax.Array) -> jax.Array:
        x = x.reshape(slices, batch_size // slices, *x.shape[1:])
        return jax.lax.with_sharding_constraint(x, sharding)

    def drawn(keys: jax.Array, data: ResidentSet) -> jax.Array:
        keys = jax.vmap(lambda key: jax.random.split(key, spec.candidates))(keys)
        return jax.vmap(data.draw)(keys)

    def slice_gradients(params: Any, keys: jax.Array, data: Any) -> tuple[Any, Metrics]:
        crop_keys, sample_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        crops = drawn(crop_keys, data) if isinstance(data, ResidentSet) else data
        batch = make_batch(sample_keys, crops[:, :, : spec.crop, : spec.crop], spec)
        gradients: tuple[Any, Metrics] = batch_gradients(params, batch)
        return gradients

    def gradients(params: Any, key: jax.Array, data: Any) -> tuple[Any, Metrics]:
        # A key for each sample: results do not depend on how the batch is cut or spread.
        keys = sliced(jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(batch_size)))
        resident = isinstance(data, ResidentSet)
        inputs = (keys, None if resident else sliced(data))

        def accumulate(total: Any, part: Any) -> tuple[Any, None]:
            part_keys, crops = part
            new = slice_gradients(params, part_keys, data if resident else crops)
            return jax.tree.map(jnp.add, total, new), None

        first = jax.tree.map(lambda x: x[0], inputs)
        shapes = jax.eval_shape(slice_gradients, params, first[0], data if resident else first[1])
        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        if loops_are_slow():
            total = zero
            for i in range(slices):
                total, _ = accumulate(total, jax.tree.map(lambda x, i=i: x[i], inputs))
        else:
            total, _ = jax.lax.scan(accumulate, zero, inputs)
        return jax.tree.map(lambda x: x / slices, total)

    return gradients


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
    rate, frequency_rate = schedules(config.optimizer, config.train.steps)

    def size_of(state: TrainState) -> jax.Array:
        return drawn_size(state.rng, state.step, len(specs))

    # The network of the perceptual loss is an argument: closed over, it would become constants.
    def one_step(
        state: TrainState, data: Any, perceptual: Perceptual | None, size: int | None
    ) -> tuple[TrainState, Metrics]:
        kinds = [make_gradients(config, model, s, mesh, perceptual, adversary) for s in specs]

        def gradients(*arguments: Any) -> tuple[Any, Metrics]:
            if size is not None:
                return kinds[size](*arguments)
            found: tuple[Any, Metrics] = jax.lax.switch(size_of(state), kinds, *arguments)
            return found

        key = step_key(state.rng, state.step)
        opponent = state.adversary
        if adversary is None:
            grads, metrics = gradients(state.params, key, data)
        else:
            assert opponent is not None
            (grads, theirs), metrics = gradients((state.params, opponent), key, data)
            opponent = adversary.updated(opponent, theirs)
            metrics["adversary_gradient_norm"] = optax.tree.norm(theirs)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes int32 counts and floats
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            rates = {
                "learning_rate": rate(state.step),
                "frequency_learning_rate": frequency_rate(state.step),
            }
        params = optax.apply_updates(state.params, updates)
        keep = ema_decay(config.train.ema, state.step)
        # An error of zero would be infinite decibels, which JSON cannot hold.
        metrics["psnr"] = -10 * jnp.log10(jnp.maximum(metrics.pop("error"), SMALLEST_MSE))
        metrics["gradient_norm"] = optax.tree.norm(grads)
        metrics.update(rates, **frequencies.gradient_norm(grads), **frequencies.statistics(params))
        ema = optax.incremental_update(params, state.ema, 1 - keep)
        new = TrainState(state.step + 1, params, ema, opt_state, state.rng, opponent)
        return new, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), metrics)

    def at(data: Any, i: Any) -> Any:
        return data if isinstance(data, ResidentSet) else data[i]

    only = 0 if len(specs) == 1 else None

    def looped(
        state: TrainState, data: Any, count: jax.Array, perceptual: Perceptual | None
    ) -> tuple[TrainState, Metrics]:
        def body(i: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            return one_step(carry[0], at(data, i), perceptual, only)

        shapes = jax.eval_shape(lambda s: one_step(s, at(data, 0), perceptual, only)[1], state)
        nothing = jax.tree.map(lambda s: jnp.full(s.shape, jnp.nan, s.dtype), shapes)
        return jax.lax.fori_loop(0, count, body, (state, nothing))

    single = jax.jit(one_step, donate_argnums=0, static_argnums=3)
    drawn = jax.jit(size_of)

    def unrolled(state: TrainState, data: Any, count: int) -> tuple[TrainState, Metrics]:
        for i in range(count):
            size = int(drawn(state)) if only is None else only
            state, metrics = single(state, at(data, i), perceptual, size)
        return state, metrics

    if loops_are_slow():
        return unrolled
    compiled = jax.jit(looped, donate_argnums=0)
    return lambda state, data, count: compiled(state, data, count, perceptual)
