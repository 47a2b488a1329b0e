"""What is diagnosed: a training's network, and what was kept of its course."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models, render
from inr_sr.coordinates import grid_axis
from inr_sr.errors import InputError
from inr_sr.models import Model
from inr_sr.models.decoders.modulated import ModulatedDecoder
from inr_sr.models.decoders.spectral import SpectralDecoder
from inr_sr.models.field import Field
from inr_sr.training import frequencies, journal
from inr_sr.training.export import load_average
from inr_sr.values import to_float32


@dataclass(frozen=True)
class Region:
    """The square over which waves are told apart: beyond it they are asked anew, or not at all.

    Attributes:
      name: what it is, for readers.
      start: where it begins along both axes, in the positions that waves are asked at, LR pixels.
      side: LR pixels.
    """

    name: str
    start: float
    side: float


@dataclass(frozen=True)
class Subject:
    """A network as it was trained.

    Attributes:
      config: of the training.
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
    params: Any
    first: dict[str, np.ndarray]
    now: dict[str, np.ndarray]
    rows: list[dict[str, float]]

    @classmethod
    def of(cls, workdir: Path) -> Subject:
        """The newest checkpoint of a training.

        Raises:
          InputError: no training there, no checkpoint yet, no record of the first frequencies, one
            of another network, or something cannot be read.
        """
        config, step, params = load_average(workdir)
        now = {name: np.asarray(b) for name, b in frequencies.matrices(params).items()}
        first = frequencies.recorded(workdir) if now else {}
        for name in sorted(first.keys() | now.keys()):
            counts = [len(matrices.get(name, ())) for matrices in (first, now)]
            if counts[0] != counts[1]:
                raise InputError(
                    f"{workdir} has the record of another network's first frequencies: {name} has "
                    f"{counts[0]} waves there and {counts[1]} in its checkpoint"
                )
        rows = journal.rows(workdir / journal.METRICS)
        return cls(config, step, models.build(config.model), params, first, now, rows)

    @property
    def region(self) -> Region | None:
        """Over which its waves are asked; None where it has none."""
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
        """The field of an LR picture, uint8 [h, w, 3]."""
        return _encoded(self.model, self.params, jnp.asarray(to_float32(lr)))


@functools.partial(jax.jit, static_argnames="model")
def _encoded(model: Model, params: Any, lr: jax.Array) -> Any:
    # As in training the picture ends at its borders.
    return model.apply({"params": params}, lr[None])


def enlarged(field: Field, size: tuple[int, int]) -> np.ndarray:
    """What a field shows on a grid of output pixels: float32 [rows, cols, 3], clipped to [0, 1]."""
    return np.clip(np.asarray(_rendered(field, size)), 0.0, 1.0)


@functools.partial(jax.jit, static_argnames="size")
def _rendered(field: Field, size: tuple[int, int]) -> jax.Array:
    rows, cols = (grid_axis(n, m) for n, m in zip(field.function.lattice, size, strict=True))
    return render.grid(field, rows, cols)[0]
