"""A grid asked query by query, in chunks of bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis, upright_footprint
from inr_sr.devices import on_cpu

# points(cell, delta, footprint) -> [B, Q, 3], see `field.Residual.points`
Points = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def grid_of_points(
    points: Points, batch: int, rows: Axis, cols: Axis, attended: int = 1
) -> jax.Array:
    """Values [batch, len(rows), len(cols), 3] of a function of queries.

    Args:
      points: the function.
      batch: pictures of the field.
      rows, cols: the grid.
      attended: how many things each query looks at: more of them make chunks smaller.
    """
    n_rows, n_cols = len(rows), len(cols)
    footprint = upright_footprint(jnp.stack([rows.step, cols.step]))[None, None]
    total = n_rows * n_cols
    at_once = min(total, max(1, _queries_at_once() // max(1, attended // MANY)))

    def pairs(r: Any, c: Any) -> jax.Array:
        both = jnp.stack([jnp.asarray(r), jnp.asarray(c)], axis=-1)[None]
        return jnp.broadcast_to(both, (batch, at_once, 2))

    def chunk(first: jax.Array) -> jax.Array:
        query = jnp.minimum(first + jnp.arange(at_once, dtype=jnp.int32), total - 1)
        row, col = query // n_cols, query % n_cols
        cell = pairs(jnp.asarray(rows.cell)[row], jnp.asarray(cols.cell)[col])
        delta = pairs(jnp.asarray(rows.delta)[row], jnp.asarray(cols.delta)[col])
        return points(cell, delta, footprint)

    out = jax.lax.map(chunk, jnp.arange(0, total, at_once, dtype=jnp.int32))
    out = jnp.moveaxis(out, 0, 1).reshape(batch, -1, 3)
    return out[:, :total].reshape(batch, n_rows, n_cols, 3)


MANY = 64  # things looked at that take as much memory as the layers of an MLP


def _queries_at_once() -> int:
    """Queries per chunk: what stays in a processor's caches, or fills an accelerator."""
    return 2**10 if on_cpu() else 2**17
