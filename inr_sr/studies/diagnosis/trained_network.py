"""The network under diagnosis: its checkpoint, how it was trained, how its score rose."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models, render
from inr_sr.coordinates import grid_axis
from inr_sr.errors import InputError
from inr_sr.models import Model, Params
from inr_sr.models.decoders.modulated import ModulatedDecoder
from inr_sr.models.decoders.spectral import SpectralDecoder
from inr_sr.models.field import Field
from inr_sr.studies import controls  # noqa: F401 - a network may be a control
from inr_sr.studies.diagnosis.frequencies import Region
from inr_sr.training import frequencies, metric_writer
from inr_sr.training.task import SCORE
from inr_sr.training.trained import load_average
from inr_sr.values import to_float32


@dataclass(frozen=True)
class TrainedNetwork:
    """The newest checkpoint of a training run.

    Attributes:
      config: of the run.
      step: of the checkpoint.
      model: the network.
      params: its averaged parameters.
      first, now: frequency matrices [K, 2] by name, at the start and in `params`, cycles per LR
        pixel; both empty where the decoder has none.
      rows: of metrics.jsonl.
    """

    config: ConfigDict
    step: int
    model: Model
    params: Params
    first: dict[str, np.ndarray]
    now: dict[str, np.ndarray]
    rows: list[dict[str, float]]

    @classmethod
    def of(cls, workdir: Path) -> TrainedNetwork:
        """Reads the newest checkpoint of a work folder.

        Raises:
          InputError: no training run there, no checkpoint yet, no record of the first frequencies,
            a record of another network, or a file that cannot be read.
        """
        config, step, params = load_average(workdir)
        model = models.build(config.model)
        matrices = frequencies.matrices(params, model.labels(params))
        now = {name: np.asarray(b) for name, b in matrices.items()}
        first = frequencies.recorded(workdir) if now else {}
        for name in sorted(first.keys() | now.keys()):
            counts = [len(kept.get(name, ())) for kept in (first, now)]
            if counts[0] != counts[1]:
                raise InputError(
                    f"{workdir} has the record of another network's first frequencies: {name} has "
                    f"{counts[0]} waves there and {counts[1]} in its checkpoint"
                )
        rows = metric_writer.rows(workdir / metric_writer.METRICS)
        return cls(config, step, model, params, first, now, rows)

    @property
    def region(self) -> Region | None:
        """The square over which its waves are evaluated; None where it has none."""
        decoder = self.model.decoder
        if isinstance(decoder, SpectralDecoder):
            return Region("one LR pixel", -0.5, 1.0)
        if not isinstance(decoder, ModulatedDecoder):
            return None
        if decoder.frame == "cell":
            side = decoder.spacing
            return Region(f"one cell of the tokens, {side} LR pixels a side", -side / 2, side)
        side = self.config.data.patch
        return Region(f"the whole patch, {side} LR pixels a side", 0.0, side)

    def field(self, lr: np.ndarray) -> Field:
        """The field of an LR image, uint8 [h, w, 3]."""
        field: Field = _encoded(self.model, self.params, jnp.asarray(to_float32(lr)))
        return field


@functools.partial(jax.jit, static_argnames="model")
def _encoded(model: Model, params: Params, lr: jax.Array) -> Field:
    # As in training, the image ends at its borders.
    field = model.apply({"params": params}, lr[None])
    assert isinstance(field, Field)  # flax knows no return types of modules
    return field


def enlarged(field: Field, size: tuple[int, int]) -> np.ndarray:
    """A field rendered on a grid of output pixels: float32 [rows, cols, 3], clipped to [0, 1]."""
    colours: np.ndarray = np.clip(np.asarray(_rendered(field, size)), 0.0, 1.0)
    return colours


@functools.partial(jax.jit, static_argnames="size")
def _rendered(field: Field, size: tuple[int, int]) -> jax.Array:
    rows, cols = (grid_axis(n, m) for n, m in zip(field.function.lattice, size, strict=True))
    return render.grid(field, rows, cols)[0]


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run that may keep its images smooth.

    Attributes:
      decoder: its name.
      parameters: parameter count of the decoder.
      initialisation: of the frequencies; "" where the decoder has no choice.
      skip: whether the network adds to bicubic.
      targets, jitter: of config.data.
      sides: of the LR patches in pixels, the largest first.
      scales: the smallest and the largest scale of its queries.
      losses: weights that are not 0, by name.
      step: of the checkpoint.
      steps: of the whole run.
    """

    decoder: str
    parameters: int
    initialisation: str
    skip: bool
    targets: str
    jitter: float
    sides: tuple[int, ...]
    scales: tuple[float, float]
    losses: dict[str, float]
    step: int
    steps: int

    @classmethod
    def of(cls, network: TrainedNetwork) -> Recipe:
        """From the configuration of the run."""
        model, data = network.config.model, network.config.data
        terms = {**network.config.loss, "adversarial": network.config.adversarial.weight}
        one = 1.0 if data.targets == "lr" else network.model.fixed_scale
        return cls(
            decoder=model.decoder,
            parameters=sum(x.size for x in jax.tree.leaves(network.params["decoder"])),
            initialisation=model.modulated.initialisation if model.decoder == "modulated" else "",
            skip=model.skip,
            targets=data.targets,
            jitter=data.jitter,
            sides=(data.patch, *sorted(data.other_patches, reverse=True)),
            scales=(one, one) if one else (data.min_scale, data.max_scale),
            losses={name: weight for name, weight in terms.items() if weight},
            step=network.step,
            steps=network.config.train.steps,
        )


@dataclass(frozen=True)
class Course:
    """The gain of the validation score over the second half of a training run.

    Attributes:
      begun, ended: steps of the two validations compared: the one nearest to half of the run (of
        two, the later), and the last; 0 where there is none between a third and two thirds.
      gain: of the score from one to the other, dB; NaN likewise.
    """

    begun: int
    ended: int
    gain: float

    @classmethod
    def of(cls, rows: Sequence[dict[str, float]]) -> Course:
        """From the rows of a metrics.jsonl, see `metric_writer.rows`."""
        scores = {
            int(row["step"]): row[SCORE] for row in rows if math.isfinite(row.get(SCORE, math.nan))
        }
        ended = max(scores, default=0)
        near = [step for step in scores if ended <= 3 * step <= 2 * ended]
        begun = min(near, key=lambda step: (abs(2 * step - ended), -step), default=0)
        if not begun:
            return cls(0, 0, math.nan)
        return cls(begun, ended, scores[ended] - scores[begun])
