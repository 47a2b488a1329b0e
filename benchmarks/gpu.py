"""Rendering, encoding, whole images and training on a GPU, in float32 and bfloat16.

    python -m benchmarks.gpu [--json FILE]
    python -m benchmarks.gpu --small      # a trial of the program itself, on any device

EDSR-baseline with the spectral decoder, random weights: LR 510 x 339 to x4, and 1920 x 1080 to x2
and x4, everything on the device. Beside each time stand the bytes or operations per second that it
means, and the ceilings measured in the same process: a copy, and products of large matrices. Where
`render` stays far below the copy, a custom kernel would pay. `fetch` brings the output to the
host. Training steps are of that system and of `configs/lp_large.py`. Medians of rounds.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import Result, Work, command, medians, report, rounds
from benchmarks.train_step import whole
from configs import lp_large
from inr_sr import models, render
from inr_sr.config import default
from inr_sr.coordinates import Axis, grid_axis
from inr_sr.models import Model, Params
from inr_sr.reporting.tables import markdown

DTYPES = ("float32", "bfloat16")
SYSTEMS = {  # which are trained, and how their queries lie
    "spectral": (default, ("points", "square")),
    "lp_large": (lp_large.get_config, ("points",)),
}


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
      images: LR (rows, cols) and scale.
      copied: float32 numbers of the copy.
      matrix: side of the matrices.
      batches: LR patches of a training step.
      systems: of SYSTEMS, those that are trained.
      patch: side of their patches, LR pixels.
      queries: of each of them, a square.
      steps: training steps per dispatch.
      rounds: of each measurement.
    """

    images: tuple[tuple[tuple[int, int], int], ...]
    copied: int
    matrix: int
    batches: tuple[int, ...]
    systems: tuple[str, ...]
    patch: int
    queries: int
    steps: int
    rounds: int


FULL = Sizes(
    images=(((339, 510), 4), ((1080, 1920), 2), ((1080, 1920), 4)),
    copied=2**28,
    matrix=8192,
    batches=(16, 128),
    systems=tuple(SYSTEMS),
    patch=48,
    queries=48**2,
    steps=10,
    rounds=10,
)
SMALL = Sizes(
    images=(((24, 32), 4),),
    copied=2**20,
    matrix=256,
    batches=(2,),
    systems=("spectral",),  # compiling the other takes minutes
    patch=16,
    queries=8**2,
    steps=1,
    rounds=1,
)


def ceilings(sizes: Sizes) -> dict[str, float]:
    """Bytes per second of a copy (read and written), operations per second of matrix products."""
    numbers = jnp.ones(sizes.copied, jnp.float32)
    copy = jax.jit(lambda x: x * 1.5)
    works: dict[str, Work] = {"copy": lambda: copy(numbers)}
    kinds = {
        "float32": (jnp.float32, jax.lax.Precision.HIGHEST),
        "float32, GPU default": (jnp.float32, jax.lax.Precision.DEFAULT),
        "bfloat16": (jnp.bfloat16, jax.lax.Precision.DEFAULT),
    }
    for name, (dtype, precision) in kinds.items():
        matrix = jnp.ones((sizes.matrix, sizes.matrix), dtype)
        product = jax.jit(functools.partial(jnp.dot, precision=precision))
        works[name] = functools.partial(product, matrix, matrix)
    median = medians(rounds(works, sizes.rounds))
    amount = {"copy": 8 * sizes.copied}
    return {name: amount.get(name, 2 * sizes.matrix**3) / median[name] for name in works}


def network(dtype: str) -> tuple[Model, Params]:
    """EDSR-baseline and spectral decoder, computing in `dtype`."""
    config = default().model
    config.dtype = dtype
    model = models.build(config)
    return model, models.init(model, jax.random.key(0))


def whole_image(dtype: str, lr: tuple[int, int], scale: int, count: int) -> list[dict[str, Any]]:
    """Encoder, field, rendering, all of it, and the way to the host."""
    model, params = network(dtype)
    image = jax.random.uniform(jax.random.key(1), (1, *lr, 3))
    rows, cols = (grid_axis(n, n * scale) for n in lr)
    encode = jax.jit(lambda p, x: model.encoder.apply({"params": p["encoder"]}, x))
    field_of = jax.jit(lambda p, x: model.apply({"params": p}, x))
    rendered = jax.jit(render.grid)

    def enlarged(params: Params, image: jax.Array, rows: Axis, cols: Axis) -> jax.Array:
        field: Any = model.apply({"params": params}, image)
        return render.grid(field, rows, cols)

    whole = jax.jit(enlarged)
    field = field_of(params, image)
    output = whole(params, image, rows, cols)
    works: dict[str, Work] = {
        "encoder": lambda: encode(params, image),
        "encoder and head": lambda: field_of(params, image),
        "render": lambda: rendered(field, rows, cols),
        "whole": lambda: whole(params, image, rows, cols),
        "fetch": lambda: np.asarray(output + 0),
    }
    median = medians(rounds(works, count))
    weights = sum(leaf.size for leaf in jax.tree.leaves(params["encoder"]))
    operations = 2 * weights * lr[0] * lr[1]
    moved = sum(leaf.nbytes for leaf in jax.tree.leaves(field)) + output.nbytes
    rates = {
        "encoder": {"flop_per_s": operations / median["encoder"]},
        "render": {"bytes_per_s": moved / median["render"]},
        "fetch": {"bytes_per_s": output.nbytes / median["fetch"]},
    }
    return [
        {
            "dtype": dtype,
            "lr": f"{lr[1]}x{lr[0]}",
            "scale": str(scale),
            "method": name,
            "median_s": seconds,
            **rates.get(name, {}),
        }
        for name, seconds in median.items()
    ]


def training(system: str, dtype: str, batch: int, layout: str, sizes: Sizes) -> dict[str, Any]:
    """Steps of one of the SYSTEMS, with queries at random or in a square."""
    config = SYSTEMS[system][0]()
    config.data.patch = config.model.trained_size = sizes.patch
    config.data.layout, config.data.queries = layout, sizes.queries
    config.train.batch_size, config.train.steps_per_dispatch = batch, sizes.steps
    config.model.dtype = dtype
    work = whole(config, models.build(config.model))
    seconds = medians(rounds({"step": work}, sizes.rounds))["step"] / sizes.steps
    patches = batch / seconds
    return {
        "system": system,
        "dtype": dtype,
        "batch": batch,
        "layout": layout,
        "median_s": seconds,
        "patches_per_s": patches,
    }


def measure(sizes: Sizes) -> Result:
    """Everything, one after the other."""
    return {
        "rounds": sizes.rounds,
        "ceilings": ceilings(sizes),
        "results": [
            row
            for dtype in DTYPES
            for lr, scale in sizes.images
            for row in whole_image(dtype, lr, scale, sizes.rounds)
        ],
        "training": [
            training(system, dtype, batch, layout, sizes)
            for system in sizes.systems
            for dtype in DTYPES
            for batch in sizes.batches
            for layout in SYSTEMS[system][1]
        ],
    }


def table(result: Result) -> str:
    """The measurement in Markdown."""
    rows = [
        [
            row["method"],
            row["dtype"],
            row["lr"],
            row["scale"],
            f"{1e3 * row['median_s']:.3f}",
            f"{row['bytes_per_s'] / 1e9:.0f}" if "bytes_per_s" in row else "",
            f"{row['flop_per_s'] / 1e12:.1f}" if "flop_per_s" in row else "",
        ]
        for row in result["results"]
    ]
    steps = [
        [
            row["system"],
            row["dtype"],
            str(row["batch"]),
            row["layout"],
            f"{1e3 * row['median_s']:.2f}",
            f"{row['patches_per_s']:.0f}",
        ]
        for row in result["training"]
    ]
    limits = [
        [name, f"{rate / 1e9:.0f} GB/s" if name == "copy" else f"{rate / 1e12:.1f} TFLOP/s"]
        for name, rate in result["ceilings"].items()
    ]
    return "\n\n".join(
        [
            markdown(["ceiling", "rate"], limits),
            markdown(["work", "type", "LR", "scale", "ms", "GB/s", "TFLOP/s"], rows),
            markdown(["training", "type", "batch", "queries", "ms per step", "patches/s"], steps),
        ]
    )


def main() -> None:
    """Requires a GPU, unless this is a trial."""
    parser = command(__doc__)
    parser.add_argument("--small", action="store_true", help="small sizes, on any device")
    arguments = parser.parse_args()
    if not arguments.small and jax.default_backend() == "cpu":
        parser.error("there is no GPU here; --small tries the program on any device")
    report(arguments, lambda: measure(SMALL if arguments.small else FULL), table)


if __name__ == "__main__":
    main()
