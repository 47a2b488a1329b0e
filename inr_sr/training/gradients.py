"""Gradients of one batch: in slices, sharded over a mesh, and by all terms of the loss."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr import render
from inr_sr.coordinates import upright_footprint
from inr_sr.data.resident import ResidentSet
from inr_sr.data.samples import Batch, Sampling, make_batch, squares
from inr_sr.devices import on_cpu, sharded
from inr_sr.models import Model
from inr_sr.training import losses
from inr_sr.training.adversary import Adversary
from inr_sr.training.perceptual import Perceptual

Metrics = dict[str, jax.Array]


def loops_are_slow() -> bool:
    """Whether convolution gradients must stay out of compiled loops.

    XLA's CPU backend runs them there some 80 times slower (github.com/jax-ml/jax/issues/12868),
    and a dispatch costs next to nothing on a CPU.
    """
    return on_cpu()


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is minimised over batches of one Sampling.

    Attributes:
      model: whose parameters are trained.
      spec: of the batches.
      weights: of the terms of the loss, see `losses.check`.
      perceptual: the term of that name, where it has a weight.
    """

    model: Model
    spec: Sampling
    weights: dict[str, float]
    perceptual: Perceptual | None

    def generate(self, params: Any, batch: Batch) -> jax.Array:
        """The network's colours [B, Q, 3] of the queries."""
        field: Any = self.model.apply({"params": params}, batch.lr)
        # A processor gathers what is asked sooner than it makes all slots of a dense patch.
        if self.spec.layout == "points" or on_cpu():
            footprint = upright_footprint(batch.size[:, None])
            return render.points(field, batch.cell, batch.delta, footprint)
        slots = math.ceil(self.spec.max_scale)
        out = render.patches(field, squares(batch.cell), squares(batch.delta), batch.size, slots)
        return out.reshape(batch.target.shape)

    def reconstruction_loss(self, out: jax.Array, batch: Batch) -> tuple[jax.Array, Metrics]:
        """The weighted sum of the terms for those colours, and the metrics."""
        total, values = losses.terms(self.weights, out, batch.target, self.perceptual)
        return total, {**values, "loss": total, "error": losses.mse(out, batch.target)}

    def loss(self, params: Any, batch: Batch) -> tuple[jax.Array, Metrics]:
        """`reconstruction_loss` of what `generate` makes."""
        return self.reconstruction_loss(self.generate(params, batch), batch)


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

    `data` is a ResidentSet, or uint8 crops [batch, candidates, crop, crop, 3]; of larger ones than
    `spec.crop` squares are cut. The batch is cut into `train.accumulate` slices, one after the
    other, each sharded over the mesh. `perceptual` is the term of `loss.perceptual`, where that is
    above 0.
    """
    batch_size, slices = config.train.batch_size, config.train.accumulate
    objective = Objective(model, spec, losses.check(config.loss, spec), perceptual)
    if adversary is None:
        of_batch = jax.grad(objective.loss, has_aux=True)
    else:
        of_batch = adversary.gradients(objective.generate, objective.reconstruction_loss)

    def sliced(x: jax.Array) -> jax.Array:
        x = x.reshape(slices, batch_size // slices, *x.shape[1:])
        return jax.lax.with_sharding_constraint(x, sharded(mesh))

    def of_slice(params: Any, keys: jax.Array, data: Any) -> tuple[Any, Metrics]:
        found: tuple[Any, Metrics] = of_batch(params, _batch(keys, data, spec))
        return found

    def gradients(params: Any, key: jax.Array, data: Any) -> tuple[Any, Metrics]:
        # A key for each sample: results do not depend on how the batch is cut or sharded.
        keys = sliced(jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(batch_size)))
        if isinstance(data, ResidentSet):
            total = _summed(lambda part: of_slice(params, part, data), keys)
        else:
            total = _summed(lambda part: of_slice(params, *part), (keys, sliced(data)))
        return jax.tree.map(lambda x: x / slices, total)

    return gradients


def _batch(keys: jax.Array, data: Any, spec: Sampling) -> Batch:
    """Samples of `data`, one for each key; see `make_gradients`."""
    crop_keys, sample_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    if isinstance(data, ResidentSet):
        candidates = jax.vmap(lambda key: jax.random.split(key, spec.candidates))(crop_keys)
        data = jax.vmap(data.draw)(candidates)
    if data.shape[2] > spec.crop:
        data = jax.vmap(functools.partial(cut_square, side=spec.crop))(sample_keys, data)
    return make_batch(sample_keys, data, spec)


def cut_square(key: jax.Array, crops: jax.Array, side: int) -> jax.Array:
    """Squares of [candidates, crop, crop, 3], all at the same place, which is drawn."""
    room = crops.shape[1] - side
    row, col = jax.random.randint(jax.random.fold_in(key, 2**30), (2,), 0, room + 1)
    return jax.lax.dynamic_slice(crops, (0, row, col, 0), (len(crops), side, side, 3))


def _summed(function: Callable[[Any], Any], parts: Any) -> Any:
    """Sum of what `function` makes of each slice of `parts`, along the first axes of its leaves."""
    count = len(jax.tree.leaves(parts)[0])
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(total: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(part)), None

    if not loops_are_slow():
        return jax.lax.scan(add, zero, parts)[0]
    total = zero
    for i in range(count):
        total, _ = add(total, jax.tree.map(lambda x, i=i: x[i], parts))
    return total
