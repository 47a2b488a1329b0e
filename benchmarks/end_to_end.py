"""What a whole image costs, beside its encoder.

    python -m benchmarks.end_to_end [--json FILE]

A random LR image of 256 x 256, enlarged in float32 by the shipped weights (`compact`) and by
EDSR-baseline (random weights) with the spectral decoder: image in, image out, tiles and halos
included. `encoder` runs the encoders alone on the same tiles. For comparison the same encoder with
the spectral decoder query by query, and with this project's LIIF decoder, at
scales at which that takes seconds. Medians of rounds that take turns. Multiply-adds are counted by
formula, without halos; XLA's count is of encoder and head, halos included; memory is that by which
the process grows in a run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from benchmarks.counting import growth, lattice_macs, liif_macs, operations, waves_macs
from benchmarks.measuring import Result, Work, command, mebibytes, medians, report, rounds
from benchmarks.methods import axes, per_query, strip_macs
from inr_sr import models
from inr_sr.config import default
from inr_sr.models import Model, Params
from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.reporting.tables import markdown
from inr_sr.sizes import output_size
from inr_sr.upscaling import NetworkUpscaler
from inr_sr.upscaling.encoded import encode_tile
from inr_sr.weights import load_model

ROUNDS = 5
LR = 256
SCALES = ("2", "3.7", "4", "8")
QUERY_SCALES = ("2", "4")
LIIF_SCALES = ("2",)


@dataclass(frozen=True)
class Entry:
    """A line of the table.

    Attributes:
      method, scale: their names; what follows a comma in a method is its decoder.
      work: does it.
      counts: output pixels, and for each multiply-adds and XLA's operations, as JSON names them.
    """

    method: str
    scale: str
    work: Work
    counts: Mapping[str, float]


def entries() -> list[Entry]:
    """All lines of the table."""
    compact, weights = load_model("compact")
    baseline = with_parameters(models.build(default().model))
    liif = with_parameters(baseline[0].clone(decoder=LiifDecoder(256, 4)))
    return [
        *network_entries("compact", compact, weights.params),
        *network_entries("EDSR-baseline", *baseline),
        *(query_entry("EDSR-baseline, per query", *baseline, scale) for scale in QUERY_SCALES),
        *(liif_entry("EDSR-baseline, LIIF", *liif, scale) for scale in LIIF_SCALES),
    ]


def with_parameters(model: Model) -> tuple[Model, Params]:
    """The model and parameters none of which are zero."""
    return model, jax.tree.map(lambda p: p + 1e-3, models.init(model, jax.random.key(0)))


def tiles_of(model: Model, params: Params) -> list[np.ndarray]:
    """Images [1, side, side, 3], as many and as large as the tiles are, their halos included."""
    planner = NetworkUpscaler(model, params, "network").planner
    side, _ = planner.tile_for((LR, LR), (LR, LR), row_pixels=LR)
    tile = random_image(side + 2 * model.halo((LR, LR)))
    return [tile[None]] * (-(-LR // side)) ** 2


def random_image(side: int) -> np.ndarray:
    """Random colours."""
    return np.random.default_rng(0).random((side, side, 3), np.float32)


def network_entries(name: str, model: Model, params: Params) -> list[Entry]:
    """The encoder alone, and whole images with the spectral decoder."""
    encode, variables = jax.jit(model.encoder.apply), {"params": params["encoder"]}
    tiles = tiles_of(model, params)

    def encoder() -> list[jax.Array]:
        return [encode(variables, tile) for tile in tiles]

    waves, once = sum(model.decoder.frequencies), per_image(model, params)
    entries = [Entry(name, "encoder", encoder, {})]
    for scale in SCALES:
        found = counts(once, scale, strip_macs(*axes(LR, scale), waves))
        entries.append(Entry(name, scale, enlarged(model, params, scale), found))
    return entries


def query_entry(name: str, model: Model, params: Params, scale: str) -> Entry:
    """Tiles encoded, and the spectral decoder's formula at every output pixel."""
    halo, grid = model.halo((LR, LR)), axes(LR, scale)
    (tile,) = tiles_of(model, params)

    def work() -> jax.Array:
        colours: jax.Array = per_query(encode_tile(model, params, tile[0], halo).function, *grid)
        return colours

    macs = waves_macs(sum(model.decoder.frequencies))
    return Entry(name, scale, work, counts(per_image(model, params), scale, macs))


def liif_entry(name: str, model: Model, params: Params, scale: str) -> Entry:
    """A whole image with this project's LIIF decoder."""
    work = enlarged(model, params, scale)
    return Entry(name, scale, work, counts(per_image(model, params), scale, liif_macs()))


def enlarged(model: Model, params: Params, scale: str) -> Callable[[], int]:
    """The image enlarged, strip by strip."""
    upscaler, size = NetworkUpscaler(model, params, "network"), (output_size(LR, float(scale)),) * 2
    image = random_image(LR)
    return lambda: sum(len(strip) for strip in upscaler.strips(image, size))


def per_image(model: Model, params: Params) -> tuple[float, float]:
    """Multiply-adds of what runs once per LR pixel, and XLA's operations."""
    tiles = tiles_of(model, params)
    lowered = encode_tile.lower(model, params, tiles[0][0], model.halo((LR, LR)))
    return lattice_macs(params) * LR**2, operations(lowered) * len(tiles)


def counts(once: tuple[float, float], scale: str, pixel_macs: float) -> dict[str, float]:
    """Of `per_image` and a decoder that takes `pixel_macs`, per output pixel."""
    pixels = output_size(LR, float(scale)) ** 2
    return {
        "output_pixels": pixels,
        "macs_per_pixel": pixel_macs + once[0] / pixels,
        "xla_flops_per_pixel": once[1] / pixels,
    }


def measure() -> Result:
    """Seconds of everything."""
    lines = entries()
    works = {(entry.method, entry.scale): entry.work for entry in lines}
    median, grown = medians(rounds(works, ROUNDS)), growth(works)
    results = []
    for (method, scale), entry in zip(works, lines, strict=True):
        seconds, (encoder, _, _) = median[method, scale], method.partition(",")
        row: dict[str, Any] = {"method": method, "scale": scale, "lr": LR}
        row |= {"median_s": seconds, "of_encoder": seconds / median[encoder, "encoder"]}
        row |= {"growth_bytes": grown[method, scale], **entry.counts}
        for name, other in (("liif", "LIIF"), ("per_query", "per query")):
            slow = median.get((f"{method}, {other}", scale))
            if slow is not None:
                row[f"faster_than_{name}"] = slow / seconds
        results.append(row)
    return {"rounds": ROUNDS, "results": results}


def table(result: Result) -> str:
    """The measurement in Markdown."""
    head = ["network", "scale", "s", "of its encoder", "MAC/pixel", "XLA flop/pixel"]
    head += ["memory grows by, MiB", "x LIIF", "x per query"]

    def number(row: dict[str, Any], name: str, form: str) -> str:
        return format(row[name], form) if name in row else ""

    rows = [
        [
            row["method"],
            row["scale"],
            f"{row['median_s']:.3f}",
            f"{row['of_encoder']:.2f}",
            number(row, "macs_per_pixel", ".0f"),
            number(row, "xla_flops_per_pixel", ".0f"),
            mebibytes(row["growth_bytes"]),
            number(row, "faster_than_liif", ".2f"),
            number(row, "faster_than_per_query", ".2f"),
        ]
        for row in result["results"]
    ]
    return markdown(head, rows)


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
