"""What a training step costs, and which part of it.

    python -m benchmarks.train_step [--json FILE]

EDSR-baseline as encoder, 16 LR patches of 48 x 48 with 2,304 queries each, float32, the embedded
pictures resident. Whole steps as training runs them (crops drawn, patches sampled, gradients,
update) with the spectral decoder, with this project's LIIF decoder, and with LIIF as published
(every query gathers 3 x 3 features for each of 4 corners). Parts by leaving others out: `encoder`
is a step on a batch that is there already, with a decoder that passes three features on; `data`
makes a batch. Medians of rounds that take turns.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.decoders import Pass, PublishedLiif
from benchmarks.measuring import command, markdown, medians, report, rounds
from inr_sr import models, render
from inr_sr.configuration import default
from inr_sr.coordinates import upright_footprint
from inr_sr.data.feed import ResidentFeed, sampling, training_source
from inr_sr.data.samples import Batch, make_batch
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.models import Model
from inr_sr.training import losses
from inr_sr.training import state as training_state
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.step import make_advance

ROUNDS = 5


def configuration() -> ConfigDict:
    """EDSR-baseline, 16 patches of 48 x 48, 2,304 queries."""
    config = default()
    config.data.patch = 48
    config.train.steps_per_dispatch = 1
    return config


class Bench:
    """Steps ready to be timed."""

    def __init__(self) -> None:
        self._config = configuration()
        self._mesh = make_mesh()
        self._spec = sampling(self._config)
        source = training_source(self._config)
        self._data = ResidentFeed(source, self._spec, self._mesh).take(1)

    def model(self, decoder: Any) -> Model:
        """EDSR-baseline and a decoder, by the name of a configuration's or as a module."""
        config = self._config.model.copy_and_resolve_references()
        config.decoder = decoder if isinstance(decoder, str) else "spectral"
        built = models.build(config)
        return built if isinstance(decoder, str) else Model(built.encoder, decoder)

    def step(self, decoder: Any) -> Callable[[], Any]:
        """A whole training step."""
        config, model = self._config, self.model(decoder)
        optimizer = make_optimizer(config.optimizer, config.train.steps)
        advance = make_advance(config, model, optimizer, self._spec, self._mesh)
        state = self._state(model)

        def work() -> Any:
            nonlocal state
            state, metrics = advance(state, self._data, 1)
            return metrics

        return work

    def data(self) -> Callable[[], Batch]:
        """A batch, from crops to samples."""

        @jax.jit
        def made(key: jax.Array, data: Any) -> Batch:
            keys = jax.random.split(key, self._config.train.batch_size)
            crops = jax.vmap(lambda k: data.draw(k[None]))(keys)
            return make_batch(keys, crops, self._spec)

        return lambda: made(jax.random.key(0), self._data)

    def part(self, decoder: Any) -> Callable[[], Any]:
        """Gradients and update on a batch that is there."""
        model, batch = self.model(decoder), self.data()()
        optimizer = make_optimizer(self._config.optimizer, self._config.train.steps)

        def loss(params: Any) -> jax.Array:
            field: Any = model.apply({"params": params}, batch.lr)
            footprint = upright_footprint(batch.size[:, None])
            out = render.points(field, batch.cell, batch.delta, footprint)
            return losses.mse(out, batch.target)

        def step(state: Any) -> Any:
            gradients = jax.grad(loss)(state.params)
            with jax.numpy_dtype_promotion("standard"):
                updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = jax.tree.map(lambda p, u: p + u, state.params, updates)
            return state.replace(params=params, opt_state=opt_state)

        compiled, state = jax.jit(step, donate_argnums=0), self._state(model)

        def work() -> Any:
            nonlocal state
            state = compiled(state)
            return state.params

        return work

    def _state(self, model: Model) -> Any:
        optimizer = make_optimizer(self._config.optimizer, self._config.train.steps)
        state = training_state.create(models.init(model, jax.random.key(0)), optimizer, seed=0)
        return place(jax.tree.map(np.asarray, state), replicated(self._mesh))


def measure() -> dict[str, Any]:
    """Seconds of whole steps and of parts."""
    bench = Bench()
    works = {
        "spectral": bench.step("spectral"),
        "liif": bench.step("liif"),
        "liif_published": bench.step(PublishedLiif(256, 4)),
        "encoder": bench.part(Pass()),
        "encoder and spectral decoder": bench.part("spectral"),
        "data": bench.data(),
    }
    median = medians(rounds(works, ROUNDS))
    patches = configuration().train.batch_size
    return {
        "rounds": ROUNDS,
        "results": [
            {
                "method": name,
                "median_s": seconds,
                "patches_per_s": patches / seconds,
                "spectral_share": median["spectral"] / seconds,
            }
            for name, seconds in median.items()
        ],
        "decoder_and_data_share": 1 - median["encoder"] / median["spectral"],
    }


def table(result: dict[str, Any]) -> str:
    """The measurement in Markdown."""
    rows = [
        [
            row["method"],
            f"{row['median_s']:.3f}",
            f"{row['patches_per_s']:.1f}",
            f"{row['spectral_share']:.2f}",
        ]
        for row in result["results"]
    ]
    share = 100 * result["decoder_and_data_share"]
    head = ["step", "s", "patches/s", "spectral takes, of it"]
    return f"{markdown(head, rows)}\n\nDecoder and data: {share:.1f} % of the spectral step."


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
