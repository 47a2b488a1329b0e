"""What an output pixel of the token system costs, once the tokens are there.

    python -m benchmarks.tokens [--json FILE]

Tokens of random numbers over a square of LR pixels, the nine nearest attended to, and two decoders:
"small", as large as that of the preset lp_small (width 256, one layer, two bands of 32 waves), with
a token for 4 x 4 LR pixels; and "large", that of lp_large (width 512, three layers, three bands of
64 waves, a token for 2 x 2 LR pixels), on a quarter of the pixels, as it takes ten times as long
for each. Methods:

- library: as the library renders it: at whole scales what a cell of tokens shares is done once for
  all of its output pixels; at others as `gathered`.
- gathered: `render.points` at every output pixel, in chunks: each gathers its own nine tokens.
- plain: the equations as they are written, at every output pixel, in chunks: attention over all
  tokens, those that are not among the nine masked.

All give the same colours. Medians of rounds that take turns; the peak is what the program holds
beside its input, by XLA's account.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from benchmarks.measuring import Result, command, mebibytes, medians, report, rounds
from configs import lp_large
from inr_sr import models, render
from inr_sr.config import default
from inr_sr.coordinates import Axis, grid_axis
from inr_sr.devices import keep_compiled_programs
from inr_sr.models.decoders.modulated import CellwiseModulatedFunction
from inr_sr.models.field import Field, grid_by_points
from inr_sr.reporting.tables import markdown
from inr_sr.sizes import output_size, parse_scale

LR = {"small": 128, "large": 64}
CASES = (("small", "3.7"), ("small", "4"), ("large", "4"))  # decoder, scale
ROUNDS = 3


def configuration(decoder: str) -> ConfigDict:
    """The `model` section of a system whose decoder is measured."""
    if decoder == "large":
        return lp_large.get_config().model
    config = default().model
    config.encoder, config.decoder = "lp_tokens", "modulated"
    config.lp_tokens.spacing = config.lp_tokens.patch = 4
    config.modulated.bands = (0.5, 2.0)
    config.modulated.features = 64
    return config


def tokens(config: ConfigDict, lr: int) -> Field:
    """A field without a skip, of random parameters and tokens."""
    decoder = models.build(config).decoder
    side = lr // config.lp_tokens.spacing
    features = jax.random.normal(jax.random.key(0), (1, side, side, config.lp_tokens.width))
    params = decoder.init(jax.random.key(1), features, 0)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noisy = [p + 0.1 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys)]
    residual: Any = decoder.apply(jax.tree.unflatten(tree, noisy), features, 0)
    return Field(None, residual)


def plain_points(
    field: CellwiseModulatedFunction, cell: jax.Array, delta: jax.Array, footprint: jax.Array
) -> jax.Array:
    """The equations of `modulated.function`, all tokens attended to but for a mask."""
    location = field.locate(cell, delta)
    position = field.query_positions(location, footprint)
    q = field.queries(field.query(position, field.fade(field.query, footprint)))
    rows, cols = field.keys.shape[1:3]
    own = location.token + field.margin
    token = jnp.stack(jnp.divmod(jnp.arange(rows * cols), cols), axis=-1)
    away = token[None, None] - own[:, :, None]
    offset = location.offset[:, :, None] - (field.spacing * away).astype(delta.dtype)
    squared = jnp.sum(jnp.square(offset), axis=-1)
    near = jnp.max(jnp.abs(away), axis=-1) <= field.margin
    keys, values = (x.reshape(len(x), -1, *x.shape[3:]) for x in (field.keys, field.values))
    logits = jnp.einsum("bqhe,bkhe->bqkh", q, keys)
    weights = field.softmax(logits, jnp.where(near, squared, jnp.inf))
    m = jnp.einsum("bqkh,bkhe->bqhe", weights, values)
    hidden = [band.waves(position, field.fade(band.waves, footprint)) for band in field.bands]
    projected = [jnp.einsum("bqhe,hed->bqd", m, band.projection) for band in field.bands]
    return field.output_of(hidden, projected)


@functools.partial(jax.jit, static_argnames="plain")
def by_query(field: Field, rows: Axis, cols: Axis, plain: bool) -> jax.Array:
    """A grid of a field, a query at a time."""
    residual: Any = field.function
    points = functools.partial(plain_points, residual) if plain else residual.points
    return grid_by_points(points, 1, rows, cols)


grid = jax.jit(render.grid)


def methods(
    field: Field, scale: str, lr: int
) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Each method: a jitted function, and its arguments."""
    rows, cols = (grid_axis(lr, output_size(lr, s)) for s in parse_scale(scale))
    return {
        "library": (grid, (field, rows, cols)),
        "gathered": (by_query, (field, rows, cols, False)),
        "plain": (by_query, (field, rows, cols, True)),
    }


def measure() -> Result:
    """Times and memory of everything."""
    works, peaks = {}, {}
    for decoder, scale in CASES:
        field = tokens(configuration(decoder), LR[decoder])
        for name, (function, arguments) in methods(field, scale, LR[decoder]).items():
            works[decoder, scale, name] = functools.partial(function, *arguments)
            memory = function.lower(*arguments).compile().memory_analysis()  # type: ignore[attr-defined]
            peaks[decoder, scale, name] = memory.temp_size_in_bytes
    median = medians(rounds(works, ROUNDS))
    return {
        "rounds": ROUNDS,
        "results": [
            {
                "decoder": decoder,
                "lr": LR[decoder],
                "scale": scale,
                "method": name,
                "median_s": seconds,
                "peak_bytes": peaks[decoder, scale, name],
                "faster_than_plain": median[decoder, scale, "plain"] / seconds,
                "faster_than_gathered": median[decoder, scale, "gathered"] / seconds,
            }
            for (decoder, scale, name), seconds in median.items()
        ],
    }


def table(result: Result) -> str:
    """The measurement in Markdown."""
    rows = [
        [
            row["decoder"],
            str(row["lr"]),
            row["scale"],
            row["method"],
            f"{1e3 * row['median_s']:.4g}",
            mebibytes(row["peak_bytes"]),
            f"{row['faster_than_plain']:.1f}",
            f"{row['faster_than_gathered']:.1f}",
        ]
        for row in result["results"]
    ]
    head = [
        "decoder",
        "LR pixels a side",
        "scale",
        "method",
        "ms",
        "peak MiB",
        "x plain",
        "x gathered",
    ]
    note = f"Medians of {result['rounds']} rounds."
    return "\n".join([markdown(head, rows), "", note])


def main() -> None:
    """Prints the table; writes the numbers with --json."""
    keep_compiled_programs()  # each is compiled for XLA's account, and again to be run
    report(command(__doc__).parse_args(), measure, table)


if __name__ == "__main__":
    main()
