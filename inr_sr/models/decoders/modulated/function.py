"""The modulated Fourier decoder: tokens tell an MLP of position what to draw, band by band.

For a query x, tokens z_j at c_j, and a matrix of frequencies B_l for each band (arXiv 2310.05624):

    q = ReLU(W_q g(x; B_q))
    m = sum_j softmax_j(q . K z_j / sqrt(e) - |x - c_j|^2 / (2 tau^2)) V z_j    for each head
    u_l = ReLU(W_l g(x; B_l) + P_l m)
    v_1 = u_1,   v_l = Res^n(u_l + v_{l-1}),   Res(v) = v + ReLU(H v)
    residual(x) = sum_l O_l norm(v_l) / d
    g(x; B) = a(J) [cos 2 pi B x, sin 2 pi B x]

for layers of width d, heads of width e and output pixels of footprint J J^T, which leave a(J) of
each wave; norm takes off the mean over the d units and divides by their deviation. Without it, and
without the division, the first steps of Adam move all units of the output alike, and training
silences them one by one.

No matrix stands between W_q and the dot product, nor between the heads and P_l: two matrices after
each other are one.
"""

import dataclasses
import math
from typing import Any, ClassVar, Self

import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis, cell_centre
from inr_sr.models.decoders.modulated.layers import Band, Places, Waves
from inr_sr.models.field import Take, grid_by_points
from inr_sr.models.fourier import attenuation, clamped
from inr_sr.models.mixers import distance_bias


@flax.struct.dataclass
class ModulatedFunction:
    """Keys and values of tokens on a lattice, and the MLP that they modulate.

    Attributes:
      keys, values: [B, H + 2 margin, W + 2 margin, heads, d / heads], the tokens' own; `margin`
        tokens around those of the picture where only the nearest are attended to.
      query: the layer that makes queries.
      bands: coarse to fine.
      log_tau: [heads] of the distance bias, LR pixels.
      kappa: strength of the output pixel's band limit; 0: none.
      origin: int32 [2], the field's first LR pixel, counted from the first token's cell.
      lattice: LR (rows, cols), with those by which the picture was padded to whole tokens.
      spacing: LR pixels between tokens.
      nearest: offsets of the tokens attended to from the query's own; empty for all.
      frame: what positions of waves are counted from, see `ModulatedDecoder`.
      smallest: side of the smallest output pixel the field was trained for, LR pixels.
    """

    keys: jax.Array
    values: jax.Array
    query: Waves
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

    @property
    def margin(self) -> int:
        """Tokens around those of the picture."""
        return max((max(abs(row), abs(col)) for row, col in self.nearest), default=0)

    @property
    def tokens(self) -> tuple[int, int]:
        """(rows, cols) of the lattice of tokens, those around it left out."""
        return self.keys.shape[1] - 2 * self.margin, self.keys.shape[2] - 2 * self.margin

    def cut(self, rows: Axis, cols: Axis, take: Take) -> Self:
        """See `field.FieldFunction.cut`; tokens stay: there are few, and queries find their own."""
        first = jnp.stack([jnp.asarray(rows.first), jnp.asarray(cols.first)])
        lattice = (rows.count, cols.count)
        return dataclasses.replace(self, origin=self.origin + first, lattice=lattice)

    def fade(self, waves: Waves, footprint: jax.Array) -> jax.Array:
        """What output pixels of footprints [B, Q or 1, 2, 2] leave of each wave, [..., K]."""
        footprint = clamped(footprint, self.smallest)
        return attenuation(waves.frequencies, self.kappa, footprint)

    def places(self, cell: jax.Array, delta: jax.Array) -> Places:
        """Where queries of `render.points` are on the lattice of tokens."""
        cell = cell + self.origin[None, None]
        token = cell // self.spacing
        within = (cell - token * self.spacing).astype(delta.dtype) + 0.5 + delta
        position = cell.astype(delta.dtype) + 0.5 + delta
        return Places(token, within - self.spacing / 2, position)

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """See `field.FieldFunction.points`."""
        position = self.asked(self.places(cell, delta), footprint)
        m = self.modulation(cell, delta, footprint)
        hidden = [band.waves(position, self.fade(band.waves, footprint)) for band in self.bands]
        return self.drawn(
            hidden, [jnp.einsum("bqhe,hed->bqd", m, b.projection) for b in self.bands]
        )

    def modulation(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """What tokens tell each query, [B, Q, heads, d / heads]; arguments as of `points`."""
        weights, _ = self.attention(cell, delta, footprint)
        if not self.nearest:
            return jnp.einsum("bqkh,bkhe->bqhe", weights, _flat(self.values))
        return jnp.einsum("bqkh,bqkhe->bqhe", weights, self._near(self.values, cell, delta))

    def attention(
        self, cell: jax.Array, delta: jax.Array, footprint: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """How much each query attends to each token, and the squared distances between them.

        Args:
          cell, delta, footprint: as of `points`.

        Returns:
          [B, Q, k, heads], which sum to 1 over k, and [B, Q, k] in LR pixels, squared: of the
          nearest tokens, or of all, row by row.
        """
        places = self.places(cell, delta)
        position = self.asked(places, footprint)
        q = self.queries(self.query(position, self.fade(self.query, footprint)))
        if self.nearest:
            logits = jnp.einsum("bqhe,bqkhe->bqkh", q, self._near(self.keys, cell, delta))
            squared = self.squared(places.offset)
        else:
            logits = jnp.einsum("bqhe,bkhe->bqkh", q, _flat(self.keys))
            squared = self.squared_to_all(self.in_image(places, footprint))
        return self.softmax(logits, squared), squared

    def queries(self, hidden: jax.Array) -> jax.Array:
        """Queries of hidden layers [..., d], by head: [..., heads, d / heads]."""
        return jax.nn.relu(hidden).reshape(*hidden.shape[:-1], *self.keys.shape[3:])

    def softmax(self, logits: jax.Array, squared: jax.Array) -> jax.Array:
        """Weights over axis -2 of [..., k, heads], of logits and squared distances [..., k]."""
        bias = distance_bias(squared, self.log_tau)
        scale = 1 / math.sqrt(self.keys.shape[-1])
        weights = jax.nn.softmax(scale * logits.astype(jnp.float32) + bias, axis=-2)
        return weights.astype(self.keys.dtype)

    def _near(self, tokens: jax.Array, cell: jax.Array, delta: jax.Array) -> jax.Array:
        """The tokens [B, Q, k, ...] nearest to queries."""
        row, col = jnp.moveaxis(self.places(cell, delta).token + self.margin, -1, 0)
        moves = jnp.array([r * tokens.shape[2] + c for r, c in self.nearest], jnp.int32)
        index = (row * tokens.shape[2] + col)[..., None] + moves[None, None]
        flat = tokens.reshape(len(tokens), -1, math.prod(tokens.shape[3:]))
        found = jnp.take_along_axis(flat, index.reshape(len(tokens), -1)[..., None], axis=1)
        return found.reshape(*index.shape, *tokens.shape[3:])

    def squared(self, offset: jax.Array) -> jax.Array:
        """Squared distances [..., k] to the nearest tokens, of offsets [..., 2] from their own."""
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

    def asked(self, places: Places, footprint: jax.Array) -> jax.Array:
        """Where the waves are asked, [B, Q, 2] in LR pixels."""
        return places.offset if self.frame == "cell" else self.in_image(places, footprint)

    def in_image(self, places: Places, footprint: jax.Array) -> jax.Array:
        """Positions [B, Q, 2] from the image's corner, LR pixels."""
        return places.position

    def token_centres(self) -> tuple[jax.Array, jax.Array]:
        """Where the centres of tokens lie along either axis, LR pixels from the image's corner."""
        rows, cols = (jnp.arange(n, dtype=jnp.float32) for n in self.tokens)
        return cell_centre(rows, self.spacing), cell_centre(cols, self.spacing)

    def drawn(self, hidden: list[jax.Array], told: list[jax.Array]) -> jax.Array:
        """The residual [..., 3] of each band's W g and P m, [..., d]."""
        total, v = None, None
        for band, wave, m in zip(self.bands, hidden, told, strict=True):
            u = jax.nn.relu(wave + m)
            v = u if v is None else u + v
            for layer in band.layers:
                v = v + jax.nn.relu(layer(v))
            out = band.output(_normalised(v) / v.shape[-1]).astype(jnp.float32)
            total = out if total is None else total + out
        assert total is not None
        return total

    def tables(self, rows: Axis, cols: Axis) -> tuple[Any, Any]:
        """See `field.FieldFunction.tables`; there is nothing."""
        return (), ()

    def grid(self, rows: Axis, cols: Axis, tables: tuple[Any, Any]) -> jax.Array:
        """See `field.FieldFunction.grid`; query by query."""
        attended = len(self.nearest) or math.prod(self.tokens)
        return grid_by_points(self.points, self.keys.shape[0], rows, cols, attended)


def _normalised(v: jax.Array) -> jax.Array:
    v = v - jnp.mean(v, axis=-1, keepdims=True)
    return v * jax.lax.rsqrt(jnp.mean(jnp.square(v), axis=-1, keepdims=True) + 1e-6)


def _flat(tokens: jax.Array) -> jax.Array:
    return tokens.reshape(len(tokens), -1, *tokens.shape[3:])
