"""Where a diagnosis asks a field directly, not by way of a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import cells, located, upright_footprint

AT_ONCE = 1024
SEED = 0


class Queries(NamedTuple):
    """Arguments of `field.FieldFunction.points` for one picture.

    Attributes:
      cell: int32 [1, Q, 2].
      delta: float32 [1, Q, 2].
      footprint: float32 [1, 1, 2, 2].
    """

    cell: jax.Array
    delta: jax.Array
    footprint: jax.Array


def scattered(side: int, scale: float, count: int = AT_ONCE) -> Queries:
    """Queries anywhere in a picture of `side` LR pixels, each place as likely as any other."""
    position = np.random.default_rng(SEED).uniform(0, side, (count, 2))
    cell, delta = located(position, last=side - 1)
    return _queries(cell, delta, scale)


def on_grid(side: int, out: int) -> Queries:
    """The out x out output pixels of a picture of `side` LR pixels, row by row."""
    cell, delta = cells(side, out)
    pairs = [np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2) for x in (cell, delta)]
    return _queries(pairs[0], pairs[1], out / side)


def _queries(cell: np.ndarray, delta: np.ndarray, scale: float) -> Queries:
    footprint = upright_footprint(jnp.full((1, 1, 2), 1 / scale, jnp.float32))
    return Queries(jnp.asarray(cell[None]), jnp.asarray(delta[None], jnp.float32), footprint)


def asked(ask: Callable[[Any, Queries], Any], field: Any, queries: Queries) -> Any:
    """What a compiled `ask(field, queries)` answers, in parts of bounded memory: NumPy, [Q, ...].

    `ask` returns arrays [1, Q, ...] for Q queries.
    """
    parts = [jax.tree.map(lambda x: np.asarray(x)[0], ask(field, q)) for q in _parts(queries)]
    count = queries.cell.shape[1]
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)


def _parts(queries: Queries) -> Iterator[Queries]:
    """AT_ONCE queries each; the last ones are repeated, so that one program serves all."""
    count = queries.cell.shape[1]
    for first in range(0, count, AT_ONCE):
        at = np.minimum(np.arange(first, first + AT_ONCE), count - 1)
        yield Queries(queries.cell[:, at], queries.delta[:, at], queries.footprint)
