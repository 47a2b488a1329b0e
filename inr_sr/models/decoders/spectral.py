"""The spectral decoder: a sum of shared, learnable waves with coefficients per LR pixel.

    y(x) = up(LR)(x) + sum_k a_k(cell) [ C_pk^cos cos(2 pi b_k . d) + C_pk^sin sin(2 pi b_k . d) ]

    a_k(cell) = exp(-kappa (2 pi)^2 |b_k * cell|^2) (1 + sum_n g_kn T_n(u_k(cell)))

for a query x in LR cell p at offset d from its centre. a_k is the response of wave k to an output
pixel of size `cell`: attenuation by the heat kernel, times a learned gain (`models/fourier.py`).
Everything that depends on p is computed once per LR pixel; an output pixel costs K multiply-adds
per channel and part.
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis
from inr_sr.models.fourier import HALF_AT_NYQUIST, annulus, attenuation, gain


@flax.struct.dataclass
class SpectralField:
    """Coefficients of shared waves on the LR lattice.

    Attributes:
      image: [B, h, w, 3] the LR picture that the bicubic skip enlarges.
      cos, sin: [B, h, w, 3, K] coefficients per LR pixel and channel.
      frequencies: [K, 2] in cycles per LR pixel, (row, col).
      kappa: scalar, strength of the cell's band limit.
      gains: [K, order] how each wave's gain depends on the footprint, `fourier.gain`.
      smallest: smallest footprint the field was trained for, LR pixels.
    """

    image: jax.Array
    cos: jax.Array
    sin: jax.Array
    frequencies: jax.Array
    kappa: jax.Array
    gains: jax.Array
    smallest: float = flax.struct.field(pytree_node=False)

    def _response(self, footprint: jax.Array) -> jax.Array:
        # Never finer than trained: untrained high frequencies would show as dots.
        footprint = jnp.maximum(footprint, self.smallest)
        return attenuation(self.frequencies, self.kappa, footprint) * gain(
            self.frequencies, self.gains, footprint, self.smallest
        )

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Residual [B, Q, 3] at offsets delta [B, Q, 2] in cells [B, Q, 2], footprint [B, 2]."""
        w = self.cos.shape[2]
        index = (cell[..., 0] * w + cell[..., 1])[..., None, None]

        def gather(c: jax.Array) -> jax.Array:
            return jnp.take_along_axis(c.reshape(c.shape[0], -1, *c.shape[3:]), index, axis=1)

        # Not a matrix product, which a GPU may round to ten bits.
        b_row, b_col = 2 * jnp.pi * self.frequencies.T[:, None, None, :]
        phase = delta[..., 0, None] * b_row + delta[..., 1, None] * b_col
        a = self._response(footprint)[:, None, :]
        return jnp.einsum("bqck,bqk->bqc", gather(self.cos), a * jnp.cos(phase)) + jnp.einsum(
            "bqck,bqk->bqc", gather(self.sin), a * jnp.sin(phase)
        )

    def grid(self, rows: Axis, cols: Axis) -> jax.Array:
        """Residual [B, len(rows), len(cols), 3] on a grid: one GEMM with a table all cells share.

        Each cell's coefficients are rotated by the phase of its first output pixel, which is
        separable in rows and columns; what is left is the same table of steps in every cell.
        """
        cos, sin = (
            c[:, rows.first : rows.first + rows.count, cols.first : cols.first + cols.count]
            for c in (self.cos, self.sin)
        )
        b_row, b_col = 2 * jnp.pi * self.frequencies[:, 0], 2 * jnp.pi * self.frequencies[:, 1]
        start = (
            rows.start[:, None, None] * b_row[None, None, :]
            + cols.start[None, :, None] * b_col[None, None, :]
        )[None, :, :, None, :]
        turn_cos, turn_sin = jnp.cos(start), jnp.sin(start)
        cos, sin = cos * turn_cos + sin * turn_sin, sin * turn_cos - cos * turn_sin
        i = jnp.arange(rows.slots, dtype=jnp.float32) * rows.step
        j = jnp.arange(cols.slots, dtype=jnp.float32) * cols.step
        step = i[:, None, None] * b_row[None, None, :] + j[None, :, None] * b_col[None, None, :]
        step = step.reshape(-1, step.shape[-1])
        a = self._response(jnp.stack([rows.step, cols.step]))[None, :]
        batch, h, w, channels, _ = cos.shape
        slots = jnp.einsum("bhwck,sk->bhwcs", cos, a * jnp.cos(step)) + jnp.einsum(
            "bhwck,sk->bhwcs", sin, a * jnp.sin(step)
        )
        slots = slots.reshape(batch, h, w, channels, rows.slots, cols.slots)
        slots = slots.transpose(0, 1, 4, 2, 5, 3)
        slots = slots.reshape(batch, h * rows.slots, w * cols.slots, channels)
        return slots[:, rows.select][:, :, cols.select]


class SpectralDecoder(nn.Module):
    """Features [B, h, w, C] and the LR picture to a SpectralField.

    Attributes:
      bands: highest frequency of each band, cycles per LR pixel, rising; each band's frequencies
        start in the annulus between its neighbour below and itself.
      frequencies: number of waves in each band.
      width, depth: hidden layers of the field head, 1x1 convolutions at LR resolution.
      gain_order: highest Chebyshev polynomial of the gains; 0 leaves the heat kernel alone.
      max_scale: largest trained scale; finer cells are treated as that scale's.
    """

    bands: tuple[float, ...]
    frequencies: tuple[int, ...]
    width: int
    depth: int
    gain_order: int
    max_scale: float
    dtype: jnp.dtype = jnp.float32

    receptive_field = 0

    @nn.compact
    def __call__(self, features: jax.Array, image: jax.Array) -> SpectralField:
        x = features
        for i in range(self.depth):
            x = nn.relu(nn.Dense(self.width, dtype=self.dtype, name=f"hidden_{i}")(x))
        count = sum(self.frequencies)
        # The last layer starts at zero, so that an untrained model is bicubic.
        parts = [
            nn.Dense(3 * count, dtype=self.dtype, kernel_init=nn.initializers.zeros, name=name)(x)
            for name in ("cos", "sin")
        ]
        # At a cell's centre all cosines add up: divided by their number, the sum is of the size of
        # one output of the head, and moves with the weights as far as that does.
        cos, sin = (p.astype(jnp.float32).reshape(*p.shape[:3], 3, count) / count for p in parts)
        inner = (0.0, *self.bands[:-1])
        matrices = [
            self.param(f"frequencies_{i}", annulus(lo, hi), (n, 2))
            for i, (lo, hi, n) in enumerate(zip(inner, self.bands, self.frequencies, strict=True))
        ]
        log_kappa = self.param("log_kappa", nn.initializers.constant(jnp.log(HALF_AT_NYQUIST)), ())
        gains = self.param("gains", nn.initializers.zeros, (count, self.gain_order))
        return SpectralField(
            image=image,
            cos=cos,
            sin=sin,
            frequencies=jnp.concatenate(matrices),
            kappa=jnp.exp(log_kappa),
            gains=gains,
            smallest=1 / self.max_scale,
        )
