"""What becomes of the output when tokens are in wrong places, or tell nothing.

A system whose output hardly changes does not use its tokens. Where a decoder has no tokens, what it
keeps for each LR pixel plays their part: a spectral field's coefficients, LIIF's hidden layer.
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
from inr_sr.studies.diagnosis.crops import Crop
from inr_sr.studies.diagnosis.output import mean_psnr, spectra_of

SEED = 0


@dataclass(frozen=True)
class Control:
    """An output that was spoilt on purpose.

    Attributes:
      change: root mean square difference to the network's own output, of values in [0, 1].
      psnr_fall: how far PSNR fell, dB.
      power: [n] mean power of the luma at the frequencies of `output.Output`.
      energy: beyond the LR Nyquist frequency over that of the truth; NaN where that has none.
    """

    change: float
    psnr_fall: float
    power: np.ndarray
    energy: float


def measure(
    crops: Sequence[Crop], outputs: Sequence[np.ndarray], spoilt: Sequence[np.ndarray]
) -> Control:
    """Compares spoilt outputs [H, W, 3] in [0, 1] with the network's own."""
    errors = [np.mean(np.square(x - y, dtype=np.float64)) for x, y in zip(spoilt, outputs)]
    spectra = spectra_of(crops, spoilt)
    return Control(
        change=math.sqrt(float(np.mean(errors))),
        psnr_fall=mean_psnr(crops, outputs) - mean_psnr(crops, spoilt),
        power=spectra.output_power,
        energy=spectra.energy_ratio(),
    )


def shuffled(residual: FieldFunction) -> FieldFunction:
    """The residual of one picture with what it keeps by place in other places, all of it alike."""
    arrays = {name: getattr(residual, name) for name in residual.spatial_arrays}
    margin = residual.margin
    rows, cols = (n - 2 * margin for n in arrays[residual.spatial_arrays[0]].shape[1:3])
    order = jax.random.permutation(jax.random.key(SEED), rows * cols)

    def moved(x: jax.Array) -> jax.Array:
        inside = x[:, margin : margin + rows, margin : margin + cols]
        flat = inside.reshape(len(x), rows * cols, -1)[:, order]
        # Around a picture is what its borders mirror, as where features end at them.
        around = with_margin(flat.reshape(len(x), rows, cols, -1), 0, margin)
        return around.reshape(x.shape)

    return _with(residual, {name: moved(x) for name, x in arrays.items()})


def zeroed(residual: FieldFunction) -> FieldFunction:
    """The function with nothing of the image left in it: all that it keeps by place at 0.

    Of tokens the values are enough: keys choose among them.
    """
    names = ("values",) if isinstance(residual, ModulatedFunction) else residual.spatial_arrays
    return _with(residual, {name: jnp.zeros_like(getattr(residual, name)) for name in names})


def _with(residual: Any, arrays: dict[str, jax.Array]) -> FieldFunction:
    changed: FieldFunction = dataclasses.replace(residual, **arrays)
    return changed
