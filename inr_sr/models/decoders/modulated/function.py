"""The modulated Fourier decoder: an MLP of position that tokens modulate, band by band.

For a query x, tokens z_j at c_j, and a frequency matrix B_l for each band (arXiv 2310.05624):

    q = ReLU(W_q g(x; B_q))
    m = sum_j softmax_j(q . K z_j / sqrt(e) - |x - c_j|^2 / (2 tau^2)) V z_j    for each head
    u_l = ReLU(W_l g(x; B_l) + P_l m)
    v_1 = u_1,   v_l = Res^n(u_l + v_{l-1}),   Res(v) = v + ReLU(H v)
    residual(x) = sum_l O_l norm(v_l) / d
    g(x; B) = a(J) [cos 2 pi B x, sin 2 pi B x]

Layers have width d and heads width e. An output pixel of footprint J J^T attenuates each wave by
a(J). norm subtracts the mean over the d units and divides by their standard deviation. Without norm
and the division by d, the first steps of Adam move all units of the output in one direction, and
the units die one by one.

There is no matrix between W_q and the dot product, nor between the heads and P_l: two linear maps
in a row are one.
"""

import dataclasses
import math
from typing import ClassVar, Self

import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis, cell_centre
from inr_sr.models.decoders.modulated.layers import Band, FourierLayer, Location
from inr_sr.models.field import GridTables, Take, grid_by_points
from inr_sr.models.fourier import attenuation, clamped
from inr_sr.models.mixers import distance_bias


@flax.struct.dataclass
class ModulatedFunction:
    """Keys and values of tokens on a lattice, and the MLP that they modulate.

    Attributes:
      keys, values: [B, H + 2 margin, W + 2 margin, heads, d / heads]; `margin` is 0 where queries
        attend to all tokens.
      query: the layer that makes queries.
      bands: from low to high frequencies.
      log_tau: [heads] log of the distance bias's widths, LR pixels.
      kappa: scalar >= 0, strength of the attenuation; 0: none.
      origin: int32 [2] the field's first LR pixel, counted from the first token's cell.
      lattice: LR (rows, cols), the padding to whole tokens included.
      spacing: LR pixels between tokens.
      nearest: offsets of the tokens attended to from the query's own token; empty: all tokens.
      frame: the origin of positions that waves see, see `ModulatedDecoder`.
      smallest: side of the smallest output pixel the field was trained for, LR pixels.
    """

    keys: jax.Array
    values: jax.Array
    query: FourierLayer
    bands: tuple[Band, ...]
    log_tau: jax.Array
    kappa: jax.Array
    origin: jax.Array
    lattice: tuple[int, int] = flax.struct.field(pytree_node=False)
    spacing: int = flax.struct.field(pytree_node=False)
    nearest: tuple[tuple[int, int], ...] = flax.struct.field(pytree_node=False)
    frame: str = flax.struct.field(pytree_node=False)
    smallest: float = flax.struct.field(pytree_node=False)

    prefers_grid: ClassVar[bool] = False
    spatial_arrays: ClassVar[tuple[str, ...]] = ("keys", "values")

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """See `field.FieldFunction.points`."""
        position = self.query_positions(self.locate(cell, delta), footprint)
        m = self.modulation(cell, delta, footprint)
        hidden = [band.waves(position, self.fade(band.waves, footprint)) for band in self.bands]
        projected = [jnp.einsum("bqhe,hed->bqd", m, band.projection) for band in self.bands]
        return self.output_of(hidden, projected)

    def tables(self, rows: Axis, cols: Axis) -> GridTables:
        """See `field.FieldFunction.tables`; there are none."""
        return (), ()

    def grid(self, rows: Axis, cols: Axis, tables: GridTables) -> jax.Array:
        """See `field.FieldFunction.grid`; query by query."""
        attended = len(self.nearest) or math.prod(self.tokens)
        return grid_by_points(self.points, self.keys.shape[0], rows, cols, attended)

    def cut(self, rows: Axis, cols: Axis, take: Take) -> Self:
        """See `field.FieldFunction.cut`; keeps all tokens: they are few, and queries index them."""
        first = jnp.stack([jnp.asarray(rows.first), jnp.asarray(cols.first)])
        lattice = (rows.count, cols.count)
        return dataclasses.replace(self, origin=self.origin + first, lattice=lattice)

    @property
    def margin(self) -> int:
        """Tokens around the image's own, on each side."""
        return max((max(abs(row), abs(col)) for row, col in self.nearest), default=0)

    @property
    def tokens(self) -> tuple[int, int]:
        """(rows, cols) of the token lattice without its margin."""
        return self.keys.shape[1] - 2 * self.margin, self.keys.shape[2] - 2 * self.margin

    def locate(self, cell: jax.Array, delta: jax.Array) -> Location:
        """Where queries, given as for `render.points`, lie on the token lattice."""
        cell = cell + self.origin[None, None]
        token = cell // self.spacing
        within = (cell - token * self.spacing).astype(delta.dtype) + 0.5 + delta
        position = cell.astype(delta.dtype) + 0.5 + delta
        return Location(token, within - self.spacing / 2, position)

    def query_positions(self, location: Location, footprint: jax.Array) -> jax.Array:
        """Positions [B, Q, 2] that waves see, LR pixels, in the field's frame."""
        if self.frame == "cell":
            return location.offset
        return self.image_positions(location, footprint)

    def image_positions(self, location: Location, footprint: jax.Array) -> jax.Array:
        """Positions [B, Q, 2] from the image's corner, LR pixels."""
        return location.position

    def fade(self, waves: FourierLayer, footprint: jax.Array) -> jax.Array:
        """Attenuation [..., K] of each wave by output pixels of footprints [..., 2, 2]."""
        footprint = clamped(footprint, self.smallest)
        return attenuation(waves.frequencies, self.kappa, footprint)

    def modulation(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Modulation m of each query, [B, Q, heads, d / heads]; arguments as of `points`."""
        weights, _ = self.attention(cell, delta, footprint)
        if not self.nearest:
            return jnp.einsum("bqkh,bkhe->bqhe", weights, _flat(self.values))
        return jnp.einsum("bqkh,bqkhe->bqhe", weights, self._near(self.values, cell, delta))

    def attention(
        self, cell: jax.Array, delta: jax.Array, footprint: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Attention weights, and the squared distances between queries and tokens.

        The k tokens are the nearest ones in the order of `nearest`, or all tokens row by row.

        Args:
          cell, delta, footprint: as of `points`.

        Returns:
          Weights [B, Q, k, heads], which sum to 1 over k; squared distances [B, Q, k], LR pixels^2.
        """
        location = self.locate(cell, delta)
        position = self.query_positions(location, footprint)
        q = self.queries(self.query(position, self.fade(self.query, footprint)))
        if self.nearest:
            logits = jnp.einsum("bqhe,bqkhe->bqkh", q, self._near(self.keys, cell, delta))
            squared = self.squared_to_nearest(location.offset)
        else:
            logits = jnp.einsum("bqhe,bkhe->bqkh", q, _flat(self.keys))
            squared = self.squared_to_all(self.image_positions(location, footprint))
        return self.softmax(logits, squared), squared

    def queries(self, hidden: jax.Array) -> jax.Array:
        """Queries q by head, [..., heads, d / heads], from the query layer's output [..., d]."""
        return jax.nn.relu(hidden).reshape(*hidden.shape[:-1], *self.keys.shape[3:])

    def softmax(self, logits: jax.Array, squared: jax.Array) -> jax.Array:
        """Attention weights [..., k, heads], over axis -2, with the distance bias.

        Args:
          logits: [..., k, heads] dot products, not scaled.
          squared: [..., k] squared distances, LR pixels^2.
        """
        bias = distance_bias(squared, self.log_tau)
        scale = 1 / math.sqrt(self.keys.shape[-1])
        weights = jax.nn.softmax(scale * logits.astype(jnp.float32) + bias, axis=-2)
        return weights.astype(self.keys.dtype)

    def squared_to_nearest(self, offset: jax.Array) -> jax.Array:
        """Squared distances [..., k] to the nearest tokens from offsets [..., 2] in a cell."""
        moves = self.spacing * jnp.array(self.nearest, offset.dtype)
        between = offset[..., None, :] - moves.reshape((1,) * (offset.ndim - 1) + moves.shape)
        return jnp.sum(jnp.square(between), axis=-1)

    def squared_to_all(self, position: jax.Array) -> jax.Array:
        """Squared distances [B, Q, tokens] between positions [B, Q, 2] and all tokens."""
        row, col = (
            jnp.square(position[..., i, None] - centre[None, None])
            for i, centre in enumerate(self.token_centres())
        )
        squared = row[..., :, None] + col[..., None, :]
        return squared.reshape(*position.shape[:-1], -1)

    def token_centres(self) -> tuple[jax.Array, jax.Array]:
        """Centres of the tokens' rows and columns, LR pixels from the image's corner."""
        rows, cols = (jnp.arange(n, dtype=jnp.float32) for n in self.tokens)
        return cell_centre(rows, self.spacing), cell_centre(cols, self.spacing)

    def output_of(self, hidden: list[jax.Array], projected: list[jax.Array]) -> jax.Array:
        """The residual [..., 3] from W_l g and P_l m of each band, [..., d] each."""
        total, v = None, None
        for band, wave, m in zip(self.bands, hidden, projected, strict=True):
            u = jax.nn.relu(wave + m)
            v = u if v is None else u + v
            for layer in band.layers:
                v = v + jax.nn.relu(layer(v))
            out = band.output(_normalised(v) / v.shape[-1]).astype(jnp.float32)
            total = out if total is None else total + out
        assert total is not None
        return total

    def _near(self, tokens: jax.Array, cell: jax.Array, delta: jax.Array) -> jax.Array:
        """The tokens [B, Q, k, ...] nearest to queries."""
        row, col = jnp.moveaxis(self.locate(cell, delta).token + self.margin, -1, 0)
        moves = jnp.array([r * tokens.shape[2] + c for r, c in self.nearest], jnp.int32)
        index = (row * tokens.shape[2] + col)[..., None] + moves[None, None]
        flat = tokens.reshape(len(tokens), -1, math.prod(tokens.shape[3:]))
        found = jnp.take_along_axis(flat, index.reshape(len(tokens), -1)[..., None], axis=1)
        return found.reshape(*index.shape, *tokens.shape[3:])


def _normalised(v: jax.Array) -> jax.Array:
    """`norm` of the equations, over the last axis."""
    v = v - jnp.mean(v, axis=-1, keepdims=True)
    return v * jax.lax.rsqrt(jnp.mean(jnp.square(v), axis=-1, keepdims=True) + 1e-6)


def _flat(tokens: jax.Array) -> jax.Array:
    """[B, H, W, ...] to [B, H * W, ...]."""
    return tokens.reshape(len(tokens), -1, *tokens.shape[3:])
