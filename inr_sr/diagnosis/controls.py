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

from inr_sr.diagnosis.crops import Crop
from inr_sr.diagnosis.output import mean_psnr, spectra_of
from inr_sr.models.decoders.liif import LiifField
from inr_sr.models.decoders.modulated_field import ModulatedField
from inr_sr.models.decoders.pixel_shuffle import PixelShuffleField
from inr_sr.models.decoders.spectral import SpectralField
from inr_sr.models.field import framed

SEED = 0

# What a field keeps by place, and what of that is its modulation.
_PLACED: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ModulatedField: (("keys", "values"), ("values",)),
    SpectralField: (("cos", "sin"), ("cos", "sin")),
    LiifField: (("hidden",), ("hidden",)),
    PixelShuffleField: (("pixels",), ("pixels",)),
}


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


def shuffled(residual: Any) -> Any:
    """The residual of one picture with what it keeps by place in other places, all of it alike."""
    names, _ = _PLACED[type(residual)]
    rows, cols = _inside(residual, getattr(residual, names[0])).shape[1:3]
    order = jax.random.permutation(jax.random.key(SEED), rows * cols)

    def moved(x: jax.Array) -> jax.Array:
        inside = _inside(residual, x)
        flat = inside.reshape(len(x), rows * cols, -1)[:, order]
        # Around a picture is what its borders mirror, as where features end at them.
        around = framed(flat.reshape(len(x), rows, cols, -1), 0, _margin(residual))
        return around.reshape(x.shape)

    return dataclasses.replace(residual, **{name: moved(getattr(residual, name)) for name in names})


def zeroed(residual: Any) -> Any:
    """The residual with a modulation of 0."""
    _, names = _PLACED[type(residual)]
    nothing = {name: jnp.zeros_like(getattr(residual, name)) for name in names}
    return dataclasses.replace(residual, **nothing)


def _margin(residual: Any) -> int:
    """Places around those of the picture."""
    if isinstance(residual, ModulatedField):
        return residual.margin
    return 1 if isinstance(residual, LiifField) else 0


def _inside(residual: Any, x: jax.Array) -> jax.Array:
    margin = _margin(residual)
    return x[:, margin : x.shape[1] - margin, margin : x.shape[2] - margin]
