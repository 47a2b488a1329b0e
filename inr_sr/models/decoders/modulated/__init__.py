"""The modulated Fourier decoder: `function` has its equations, `grid` an exact and faster form."""

from inr_sr.models.decoders.modulated.decoder import FRAMES, ModulatedDecoder
from inr_sr.models.decoders.modulated.function import ModulatedFunction
from inr_sr.models.decoders.modulated.grid import CellwiseModulatedFunction
from inr_sr.models.decoders.modulated.layers import nearest_offsets

__all__ = [
    "FRAMES",
    "CellwiseModulatedFunction",
    "ModulatedDecoder",
    "ModulatedFunction",
    "nearest_offsets",
]
