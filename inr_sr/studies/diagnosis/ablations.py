"""The output after the tokens are shuffled or their content is set to 0.

A network whose output hardly changes does not use its tokens. For a decoder without tokens, the
arrays of its field with one entry per LR pixel are ablated instead: a spectral field's
coefficients, LIIF's hidden layer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.models.decoders.modulated import ModulatedFunction
from inr_sr.models.field import FieldFunction, with_margin
from inr_sr.studies.diagnosis.edge_crops import EdgeCrop
from inr_sr.studies.diagnosis.output_quality import mean_psnr, spectra_of

SEED = 0


@dataclass(frozen=True)
class Ablation:
    """The output of an ablated field.

    Attributes:
      change: root mean square difference to the network's own output, of values in [0, 1].
      psnr_fall: loss of PSNR, dB.
      power: [n] mean power of the luma at the frequencies of `OutputQuality`.
      energy: beyond the LR Nyquist frequency over that of the truth; NaN where that has none.
    """

    change: float
    psnr_fall: float
    power: np.ndarray
    energy: float


def measure(
    crops: Sequence[EdgeCrop], outputs: Sequence[np.ndarray], ablated: Sequence[np.ndarray]
) -> Ablation:
    """Compares outputs of ablated fields, [H, W, 3] in [0, 1], with the network's own."""
    errors = [np.mean(np.square(x - y, dtype=np.float64)) for x, y in zip(ablated, outputs)]
    spectra = spectra_of(crops, ablated)
    return Ablation(
        change=math.sqrt(float(np.mean(errors))),
        psnr_fall=mean_psnr(crops, outputs) - mean_psnr(crops, ablated),
        power=spectra.output_power,
        energy=spectra.energy_ratio(),
    )


def shuffled(function: FieldFunction) -> FieldFunction:
    """Permutes the entries of a field's spatial arrays, with one permutation for all of them."""
    arrays = {name: getattr(function, name) for name in function.spatial_arrays}
    margin = function.margin
    rows, cols = (n - 2 * margin for n in arrays[function.spatial_arrays[0]].shape[1:3])
    order = jax.random.permutation(jax.random.key(SEED), rows * cols)

    def moved(x: jax.Array) -> jax.Array:
        inside = x[:, margin : margin + rows, margin : margin + cols]
        flat = inside.reshape(len(x), rows * cols, -1)[:, order]
        # The margin mirrors the borders, as where features end at those of the image.
        around = with_margin(flat.reshape(len(x), rows, cols, -1), 0, margin)
        return around.reshape(x.shape)

    return _with(function, {name: moved(x) for name, x in arrays.items()})


def zeroed(function: FieldFunction) -> FieldFunction:
    """Sets a field's spatial arrays to 0; of tokens only the values, as keys choose among them."""
    names = ("values",) if isinstance(function, ModulatedFunction) else function.spatial_arrays
    return _with(function, {name: jnp.zeros_like(getattr(function, name)) for name in names})


def _with(function: Any, arrays: dict[str, jax.Array]) -> FieldFunction:
    changed: FieldFunction = dataclasses.replace(function, **arrays)
    return changed
