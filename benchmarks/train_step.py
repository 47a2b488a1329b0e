"""What a training step costs, and which part of it.

    python -m benchmarks.train_step [--json FILE]

EDSR-baseline as encoder, 16 LR patches of 48 x 48 with 2,304 queries each, float32, the embedded
images resident. Whole steps as training runs them (crops drawn, patches sampled, gradients,
update) with the spectral decoder, with this project's LIIF decoder, and with LIIF as published
(every query gathers 3 x 3 features for each of 4 corners). Parts by leaving others out: `encoder`
is a step on a batch that is there already, with a decoder that passes three features on; `data`
makes a batch. Medians of rounds that take turns. Beside them multiply-adds of the forward pass by
formula, what XLA counts for the gradient, and by how much resident memory grows in a run.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.counting import (
    PUBLISHED_LIIF_INPUTS,
    growth,
    lattice_macs,
    liif_macs,
    operations,
    waves_macs,
)
from benchmarks.decoders import Pass, PublishedLiif
from benchmarks.measuring import Result, Work, command, mebibytes, medians, report, rounds
from inr_sr import models, render
from inr_sr.config import default
from inr_sr.coordinates import upright_footprint
from inr_sr.data.loaders import ResidentLoader, sampling, training_source
from inr_sr.data.samples import Batch, make_batch
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.models import Model, Params
from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.reporting.tables import markdown
from inr_sr.training import state as training_state
from inr_sr.training.losses import formulas
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.state import TrainState
from inr_sr.training.step import make_advance
from inr_sr.training.tasks.super_resolution import SuperResolution

ROUNDS = 5


def configuration() -> ConfigDict:
    """EDSR-baseline, 16 patches of 48 x 48, 2,304 queries."""
    config = default()
    config.data.patch = 48
    config.train.steps_per_dispatch = 1
    return config


def fresh_state(config: ConfigDict, model: Model) -> TrainState:
    """The state before the first step, on all devices."""
    optimizer = make_optimizer(config.optimizer, config.train.steps, model.labels)
    state = training_state.create(models.init(model, jax.random.key(0)), optimizer, seed=0)
    placed: TrainState = place(jax.tree.map(np.asarray, state), replicated(make_mesh()))
    return placed


def whole(config: ConfigDict, model: Model) -> Work:
    """A dispatch of steps as training runs them, on the embedded images."""
    task, mesh = SuperResolution(config, model=model), make_mesh()
    count = config.train.steps_per_dispatch
    optimizer = make_optimizer(config.optimizer, config.train.steps, task.labels)
    advance = make_advance(config, task, optimizer, mesh)
    data = task.loader(mesh, 0).take(count)
    state = fresh_state(config, model)

    def work() -> Any:
        nonlocal state
        state, metrics = advance(state, data, count)
        return metrics

    return work


def data(config: ConfigDict) -> Callable[[], Batch]:
    """A batch, from crops to samples."""
    spec = sampling(config)
    images = ResidentLoader(training_source(config), spec, make_mesh()).take(1)

    @jax.jit
    def made(key: jax.Array, images: Any) -> Batch:
        keys = jax.random.split(key, config.train.batch_size)
        crops = jax.vmap(lambda k: images.draw(k[None]))(keys)
        return make_batch(keys, crops, spec)

    return lambda: made(jax.random.key(0), images)


def loss_on(model: Model, batch: Batch) -> Callable[[Params], jax.Array]:
    """The loss of parameters on a batch that is there."""

    def loss(params: Params) -> jax.Array:
        field: Any = model.apply({"params": params}, batch.lr)
        footprint = upright_footprint(batch.size[:, None])
        out = render.points(field, batch.cell, batch.delta, footprint)
        return formulas.mse(out, batch.target)

    return loss


def part(config: ConfigDict, model: Model) -> Work:
    """Gradients and update on a batch that is there."""
    loss = loss_on(model, data(config)())
    optimizer = make_optimizer(config.optimizer, config.train.steps, model.labels)

    def step(state: Any) -> Any:
        gradients = jax.grad(loss)(state.params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u: p + u, state.params, updates)
        return state.replace(params=params, opt_state=opt_state)

    compiled, state = jax.jit(step, donate_argnums=0), fresh_state(config, model)

    def work() -> Any:
        nonlocal state
        state = compiled(state)
        return state.params

    return work


def counted(config: ConfigDict, model: Model, query_macs: int, batch: Batch) -> dict[str, float]:
    """Per LR patch: multiply-adds of the forward pass, and what XLA counts for the gradient."""
    params = models.init(model, jax.random.key(0))
    macs = lattice_macs(params) * config.data.patch**2 + query_macs * config.data.queries
    gradient = jax.jit(jax.grad(loss_on(model, batch))).lower(params)
    flops = operations(gradient) / config.train.batch_size
    return {"macs_per_patch": macs, "xla_flops_per_patch": flops}


def measure() -> Result:
    """Seconds of whole steps and of parts."""
    config = configuration()
    spectral = models.build(config.model)
    liif, published, none = (
        spectral.clone(decoder=decoder)
        for decoder in (LiifDecoder(256, 4), PublishedLiif(256, 4), Pass())
    )
    parts = "encoder and spectral decoder"
    sampled = data(config)
    works: dict[str, Work] = {
        "spectral": whole(config, spectral),
        "liif": whole(config, liif),
        "liif_published": whole(config, published),
        "encoder": part(config, none),
        parts: part(config, spectral),
        "data": sampled,
    }
    median, grown = medians(rounds(works, ROUNDS)), growth(works)
    patches, batch = config.train.batch_size, sampled()
    waves = waves_macs(sum(config.model.spectral.frequencies))
    counts = {
        "spectral": counted(config, spectral, waves, batch),
        "liif": counted(config, liif, liif_macs(), batch),
        "liif_published": counted(config, published, liif_macs(PUBLISHED_LIIF_INPUTS), batch),
        "encoder": counted(config, none, 0, batch),
    }
    counts[parts] = counts["spectral"]
    return {
        "rounds": ROUNDS,
        "results": [
            {
                "method": name,
                "median_s": seconds,
                "patches_per_s": patches / seconds,
                "spectral_share": median["spectral"] / seconds,
                "growth_bytes": grown[name],
                **counts.get(name, {}),
            }
            for name, seconds in median.items()
        ],
        "decoder_and_data_share": 1 - median["encoder"] / (median[parts] + median["data"]),
    }


def table(result: Result) -> str:
    """The measurement in Markdown."""
    rows = [
        [
            row["method"],
            f"{row['median_s']:.3f}",
            f"{row['patches_per_s']:.1f}",
            f"{row['spectral_share']:.2f}",
            *(
                f"{row[name] / 1e9:.2f}" if name in row else ""
                for name in ("macs_per_patch", "xla_flops_per_patch")
            ),
            mebibytes(row["growth_bytes"]),
        ]
        for row in result["results"]
    ]
    share = 100 * result["decoder_and_data_share"]
    head = ["step", "s", "patches/s", "spectral takes, of it"]
    head += ["forward GMAC/patch", "gradient, XLA Gflop/patch", "memory grows by, MiB"]
    return (
        f"{markdown(head, rows)}\n\nDecoder and data: {share:.1f} % of encoder, decoder and data."
    )


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
