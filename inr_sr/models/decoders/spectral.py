"""The spectral decoder: a sum of shared, learnable waves with coefficients per LR pixel.

    residual(x) = sum_k a_k(J) [ C_pk^cos cos(2 pi b_k . d) + C_pk^sin sin(2 pi b_k . d) ]

    a_k(J) = exp(-kappa (2 pi)^2 |J^T b_k|^2) (1 + sum_n g_kn T_n(u_k(J)))

for a query x in LR cell p at offset d from its centre. a_k is the response of an output pixel with
Jacobian J to wave k: attenuation by the heat kernel (arXiv 2311.17643), times a learned gain
(`models/fourier.py`). On a grid J is diag(1/s_row, 1/s_col). Everything that depends on p is
computed once per LR pixel; an output pixel costs K multiply-adds per channel, for cosines and sines
each.
"""

import dataclasses
import functools
from typing import ClassVar, Self

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.coordinates import Axis, aligned, upright_footprint
from inr_sr.errors import InputError
from inr_sr.models.field import GridTables, Take, with_margin
from inr_sr.models.fourier import HALF_AT_NYQUIST, annulus, attenuation, clamped, gain
from inr_sr.models.parts import (
    FREQUENCIES,
    LAYER_GROUPS,
    UNDECAYED,
    Shared,
    all_positive,
    bands_of,
    check_max_scale,
    check_minimums,
)

MAX_WAVES = 2**12  # some 100 kB of coefficients per LR pixel
LANES = 8  # matrix products are fastest when their columns are a multiple of this
MAX_TABLE_BYTES = 2**28
"""Maximum size of the tables of steps: 134 waves at x1000 along both axes, more at lower scales."""


Phases = tuple[jax.Array, jax.Array]
"""Cosines and sines of phases."""


@flax.struct.dataclass
class SpectralFunction:
    """Coefficients of shared waves on the LR lattice.

    Attributes:
      cos, sin: [B, h, w, 3, K] coefficients per LR pixel and channel.
      frequencies: [K, 2] in cycles per LR pixel, (row, col).
      kappa: scalar >= 0, strength of the attenuation.
      gains: [K, order] coefficients of each wave's gain, see `fourier.gain`.
      smallest: side of the smallest output pixel the field was trained for, LR pixels.
    """

    cos: jax.Array
    sin: jax.Array
    frequencies: jax.Array
    kappa: jax.Array
    gains: jax.Array
    smallest: float = flax.struct.field(pytree_node=False)

    prefers_grid: ClassVar[bool] = True
    spatial_arrays: ClassVar[tuple[str, ...]] = ("cos", "sin")
    margin: ClassVar[int] = 0

    @property
    def lattice(self) -> tuple[int, int]:
        """LR (rows, cols)."""
        return self.cos.shape[1], self.cos.shape[2]

    def cut(self, rows: Axis, cols: Axis, take: Take) -> "SpectralFunction":
        """See `field.FieldFunction.cut`."""
        return dataclasses.replace(self, cos=take(self.cos, 0), sin=take(self.sin, 0))

    def _response(self, footprint: jax.Array) -> jax.Array:
        """a_k of footprints [..., 2, 2], [..., K]."""
        # Never finer than trained: untrained high frequencies would show as dots.
        footprint = clamped(footprint, self.smallest)
        return attenuation(self.frequencies, self.kappa, footprint) * gain(
            self.frequencies, self.gains, footprint, self.smallest
        )

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """See `field.FieldFunction.points`."""
        w = self.cos.shape[2]
        index = (cell[..., 0] * w + cell[..., 1])[..., None, None]

        def gather(c: jax.Array) -> jax.Array:
            return jnp.take_along_axis(c.reshape(c.shape[0], -1, *c.shape[3:]), index, axis=1)

        # Not a matrix product, which a GPU may round to ten bits.
        b_row, b_col = 2 * jnp.pi * self.frequencies.T[:, None, None, :]
        phase = delta[..., 0, None] * b_row + delta[..., 1, None] * b_col
        a = self._response(footprint)
        return jnp.einsum("bqck,bqk->bqc", gather(self.cos), a * jnp.cos(phase)) + jnp.einsum(
            "bqck,bqk->bqc", gather(self.sin), a * jnp.sin(phase)
        )

    def tables(self, rows: Axis, cols: Axis) -> GridTables:
        """See `field.FieldFunction.tables`.

        Returns:
          For rows: (cos, sin) [count, K] of the phase from a cell's centre to the middle of its
          slots. Shared by all rows: the same for columns, and an even and an odd table [K, slots]
          of the steps in the upper half of the slots. The phases are () where scales are integers.

        Raises:
          InputError: a table would take more than MAX_TABLE_BYTES.
        """
        _check_table(self.frequencies.shape[0], rows.slots, cols.slots)
        top = -(-rows.slots // 2)
        b_row, b_col = 2 * jnp.pi * self.frequencies[:, 0], 2 * jnp.pi * self.frequencies[:, 1]
        i = jnp.arange(top, dtype=jnp.float32) - (rows.slots - 1) / 2
        j = jnp.arange(cols.slots, dtype=jnp.float32) - (cols.slots - 1) / 2
        step = (
            b_row[:, None, None] * (rows.step * i)[None, :, None]
            + b_col[:, None, None] * (cols.step * j)[None, None, :]
        ).reshape(b_row.shape[0], -1)
        step = jnp.pad(step, ((0, 0), (0, -step.shape[1] % LANES)))
        a = self._response(upright_footprint(jnp.stack([rows.step, cols.step])))[:, None]
        even, odd = a * jnp.cos(step), a * jnp.sin(step)
        if aligned(rows, cols):  # the slots are centred on the cell already
            return (), ((), even, odd)
        return _phases(rows, b_row), (_phases(cols, b_col), even, odd)

    def grid(self, rows: Axis, cols: Axis, tables: GridTables) -> jax.Array:
        """See `field.FieldFunction.grid`; matrix products with tables that all cells share.

        The output pixels of every cell lie at the same steps from the middle of its slots. Rotating
        each cell's coefficients to that middle makes the tables the same for all cells. About the
        middle cosines are even and sines odd, so the upper half of the slots gives the lower half
        too. Derivation and cost: docs/speed.md.
        """
        row_phase, (col_phase, even, odd) = tables
        cos, sin = self.cos, self.sin
        if not aligned(rows, cols):
            cos, sin = _rotated(cos, sin, row_phase, col_phase)
        top, low = -(-rows.slots // 2), rows.slots // 2

        def product(c: jax.Array, table: jax.Array) -> jax.Array:
            # In full precision, where a GPU's default would round to ten bits.
            x = jnp.dot(c.reshape(-1, c.shape[-1]), table, precision=jax.lax.Precision.HIGHEST)
            x = x[:, : top * cols.slots].reshape(*c.shape[:-1], top, cols.slots)
            return x.transpose(0, 1, 4, 2, 5, 3)  # [B, h, top, w, slots, 3]

        e, o = product(cos, even), product(sin, odd)

        def padded(x: jax.Array, before: int, after: int) -> jax.Array:
            return jnp.pad(x, ((0, 0), (0, 0), (before, after), *((0, 0),) * 3))

        # A sum of padded halves: XLA fuses it with what follows; a concatenation it would not.
        mirrored = (e - o)[:, :, :low][:, :, ::-1, :, ::-1]
        slots = padded(e + o, 0, low) + padded(mirrored, top, 0)
        batch, h, _, w, _, channels = slots.shape
        out = slots.reshape(batch, h * rows.slots, w * cols.slots, channels)
        return _selected(out, rows, cols)


def _check_table(waves: int, rows: int, cols: int) -> None:
    """Raises InputError where rows x cols slots per LR pixel make too large a table."""
    size = 4 * waves * -(-rows // 2) * cols
    if size > MAX_TABLE_BYTES:
        raise InputError(
            f"{rows}x{cols} output pixels in an LR pixel, of {waves} waves, need a table of {size} "
            f"bytes; at most {MAX_TABLE_BYTES} are allowed"
        )


def _phases(axis: Axis, b: jax.Array) -> Phases:
    """Cos and sin [count, K] of the phase from each cell's centre to the middle of its slots."""
    phase = axis.centre[:, None] * b[None]
    # XLA's CPU backend would fuse the cosine into its uses and compute it again for each cell and
    # channel, and it drops optimization barriers. A product with the identity is not fused.
    same = jnp.eye(b.shape[0], dtype=b.dtype)
    keep = functools.partial(jnp.dot, b=same, precision=jax.lax.Precision.HIGHEST)
    return keep(jnp.cos(phase)), keep(jnp.sin(phase))


def _rotated(
    cos: jax.Array, sin: jax.Array, row: Phases, col: Phases
) -> tuple[jax.Array, jax.Array]:
    """Coefficients about another point of each cell: (cos - i sin) e^{i phase}, parts apart."""
    (row_cos, row_sin), (col_cos, col_sin) = row, col
    row_cos, row_sin = (x[None, :, None, None] for x in (row_cos, row_sin))
    col_cos, col_sin = (x[None, None, :, None] for x in (col_cos, col_sin))
    turn_cos = row_cos * col_cos - row_sin * col_sin
    turn_sin = row_sin * col_cos + row_cos * col_sin
    return cos * turn_cos + sin * turn_sin, sin * turn_cos - cos * turn_sin


def _selected(slots: jax.Array, rows: Axis, cols: Axis) -> jax.Array:
    """The output pixels among the slots [B, rows, cols, 3]."""
    if rows.whole and cols.whole:
        return slots
    return slots[:, rows.select[:, None], cols.select[None, :]]


def _check_bands(counts: tuple[int, ...], bands: tuple[float, ...]) -> None:
    """Raises InputError unless bands rise and each has a number of waves."""
    whole = all(isinstance(n, int) and n >= 1 for n in counts)
    if whole and sum(counts) > MAX_WAVES:
        raise InputError(
            f"model.spectral.frequencies {counts} are {sum(counts)} waves, whose coefficients take "
            f"{24 * sum(counts)} bytes per LR pixel; at most {MAX_WAVES} are allowed"
        )
    if not (counts and whole and all_positive(bands)):
        raise InputError(
            f"model.spectral.frequencies {counts} must be whole numbers of at least 1, and "
            f"model.spectral.bands {bands} numbers above 0"
        )
    if len(bands) != len(counts) or list(bands) != sorted(set(bands)):
        raise InputError(
            f"model.spectral.bands {bands} must rise and be as many as "
            f"model.spectral.frequencies {counts}"
        )


class SpectralDecoder(nn.Module):
    """Features [B, h + 2 halo, w + 2 halo, C] to a SpectralFunction on [h, w].

    Attributes:
      bands: highest frequency of each band, cycles per LR pixel, rising; a band's frequencies start
        in the annulus between the band below and its own.
      frequencies: number of waves in each band.
      width, depth: width and number of hidden layers of the head, 1x1 convolutions on LR pixels.
      gain_order: order of the gains' Chebyshev polynomials; 0: no gain, the heat kernel alone.
      max_scale: largest trained scale; smaller output pixels are treated as that scale's.
    """

    bands: tuple[float, ...]
    frequencies: tuple[int, ...]
    width: int
    depth: int
    gain_order: int
    max_scale: float
    dtype: jnp.dtype = jnp.float32

    receptive_field = 0
    last_layer = r"(cos|sin)/kernel"
    section = "spectral"
    takes_tokens = False
    groups = ((FREQUENCIES, r"frequencies_\d+$"), (UNDECAYED, r"(gains|log_kappa)$"), *LAYER_GROUPS)

    @staticmethod
    def default_config(shared: Shared) -> ConfigDict:
        """The attributes of the class; bands follow max_scale until they are set."""
        config = ConfigDict()
        config.bands = bands_of(shared.max_scale)
        config.frequencies = (4, 8, 20)
        config.width = 64
        config.depth = 1
        config.gain_order = 4
        config.max_scale = shared.max_scale
        return config

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, spacing: int) -> Self:
        """See `models.decoders`."""
        config = model.spectral
        check_minimums("spectral", config, {"width": 1, "depth": 0, "gain_order": 0})
        check_max_scale("spectral", config.max_scale)
        _check_bands(tuple(config.frequencies), tuple(config.bands))
        return cls(**config.to_dict(), dtype=dtype)

    def check_slots(self, rows: int, cols: int) -> None:
        """Raises InputError where rows x cols output pixels per LR pixel are too many."""
        _check_table(sum(self.frequencies), rows, cols)

    @nn.compact
    def __call__(self, features: jax.Array, halo: int) -> SpectralFunction:
        x = with_margin(features, halo, self.receptive_field)
        for i in range(self.depth):
            x = nn.relu(nn.Dense(self.width, dtype=self.dtype, name=f"hidden_{i}")(x))
        count = sum(self.frequencies)
        # The last layer starts at zero, so that an untrained model is bicubic.
        parts = [
            nn.Dense(3 * count, dtype=self.dtype, kernel_init=nn.initializers.zeros, name=name)(x)
            for name in ("cos", "sin")
        ]
        # At a cell's centre all cosines are 1. Divided by their number, the sum is of the size of
        # one output of the head, and moves as far as that does when weights change.
        cos, sin = (p.astype(jnp.float32).reshape(*p.shape[:3], 3, count) / count for p in parts)
        inner = (0.0, *self.bands[:-1])
        matrices = [
            self.param(f"frequencies_{i}", annulus(lo, hi), (n, 2))
            for i, (lo, hi, n) in enumerate(zip(inner, self.bands, self.frequencies, strict=True))
        ]
        log_kappa = self.param("log_kappa", nn.initializers.constant(jnp.log(HALF_AT_NYQUIST)), ())
        gains = self.param("gains", nn.initializers.zeros, (count, self.gain_order))
        return SpectralFunction(
            cos=cos,
            sin=sin,
            frequencies=jnp.concatenate(matrices),
            kappa=jnp.exp(log_kappa),
            gains=gains,
            smallest=1 / self.max_scale,
        )
