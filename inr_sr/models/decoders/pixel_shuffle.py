"""EDSR's own upsampler (arXiv 1609.05158, 1707.02921): sub-pixel convolutions, one fixed scale."""

from typing import ClassVar, Self

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.coordinates import Axis, aligned
from inr_sr.errors import InputError
from inr_sr.models.field import GridTables, Take, with_margin
from inr_sr.models.parts import LAYER_GROUPS, Shared, check_minimums


def shuffle(x: jax.Array, factor: int) -> jax.Array:
    """[B, h, w, factor^2 * C] to [B, h * factor, w * factor, C].

    Channel (row * factor + col) * C + c becomes channel c of the pixel (row, col) in its cell.
    """
    batch, h, w, channels = x.shape
    x = x.reshape(batch, h, w, factor, factor, channels // factor**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, h * factor, w * factor, -1)


@flax.struct.dataclass
class PixelShuffleFunction:
    """The output pixels of every LR pixel; it has no values between them.

    Attributes:
      pixels: [B, h, w, scale, scale, 3].
    """

    pixels: jax.Array

    prefers_grid: ClassVar[bool] = False
    spatial_arrays: ClassVar[tuple[str, ...]] = ("pixels",)
    margin: ClassVar[int] = 0

    @property
    def lattice(self) -> tuple[int, int]:
        """LR (rows, cols)."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def scale(self) -> int:
        """Output pixels per LR pixel along an axis."""
        return self.pixels.shape[3]

    def cut(self, rows: Axis, cols: Axis, take: Take) -> "PixelShuffleFunction":
        """See `field.FieldFunction.cut`."""
        return PixelShuffleFunction(take(self.pixels, 0))

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """The output pixels that hold the queries, whatever their footprint."""
        slot = jnp.floor((delta + 0.5) * self.scale).astype(jnp.int32)
        row, col = jnp.moveaxis(jnp.clip(slot, 0, self.scale - 1), -1, 0)
        at = (cell[..., 0] * self.pixels.shape[2] + cell[..., 1]) * self.scale**2
        index = (at + row * self.scale + col)[..., None]
        return jnp.take_along_axis(self.pixels.reshape(len(self.pixels), -1, 3), index, axis=1)

    def tables(self, rows: Axis, cols: Axis) -> GridTables:
        """See `field.FieldFunction.tables`; there are none."""
        return (), ()

    def grid(self, rows: Axis, cols: Axis, tables: GridTables) -> jax.Array:
        """See `field.FieldFunction.grid`.

        Raises:
          InputError: a scale other than the trained one.
        """
        exact = aligned(rows, cols)
        if not exact or (rows.slots, cols.slots) != (self.scale, self.scale):
            raise InputError(
                f"this pixel-shuffle model enlarges by exactly {self.scale}, "
                f"not by {'' if exact else 'less than '}{rows.slots}x{cols.slots}"
            )
        batch, h, w = self.pixels.shape[:3]
        whole = self.pixels.transpose(0, 1, 3, 2, 4, 5)
        whole = whole.reshape(batch, h * self.scale, w * self.scale, 3)
        return whole[:, rows.select[:, None], cols.select[None, :]]


class PixelShuffleDecoder(nn.Module):
    """Features [B, h + 2 halo, w + 2 halo, C] to a PixelShuffleFunction on [h, w].

    `scale` is the only scale, an integer.
    """

    scale: int
    dtype: jnp.dtype = jnp.float32

    receptive_field = 2  # the convolutions at LR and at output resolution
    last_layer = r"last/kernel"
    section = "pixel_shuffle"
    takes_tokens = False
    groups = LAYER_GROUPS

    @staticmethod
    def default_config(shared: Shared) -> ConfigDict:
        """Its only field is the scale, see the class."""
        return ConfigDict({"scale": 4})

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, spacing: int) -> Self:
        """See `models.decoders`."""
        config = model.pixel_shuffle
        check_minimums("pixel_shuffle", config, {"scale": 1})
        return cls(config.scale, dtype)

    @nn.compact
    def __call__(self, features: jax.Array, halo: int) -> PixelShuffleFunction:
        x, width = features, features.shape[-1]
        for i, factor in enumerate((2, 2) if self.scale == 4 else (self.scale,)):
            x = nn.Conv(width * factor**2, (3, 3), dtype=self.dtype, name=f"upsample_{i}")(x)
            x = shuffle(x, factor)
        last = nn.Conv(3, (3, 3), dtype=self.dtype, kernel_init=nn.initializers.zeros, name="last")
        x = with_margin(last(x).astype(jnp.float32), halo * self.scale, 0)
        batch, rows, cols, _ = x.shape
        x = x.reshape(batch, rows // self.scale, self.scale, cols // self.scale, self.scale, 3)
        return PixelShuffleFunction(x.transpose(0, 1, 3, 2, 4, 5))
