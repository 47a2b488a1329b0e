"""What a whole picture costs, beside its encoder.

    python -m benchmarks.end_to_end [--json FILE]

A random LR picture of 256 x 256 to x2, x3.7, x4 and x8, with the shipped weights (`compact`) and
with EDSR-baseline as encoder (random weights), in float32: picture in, picture out, tiles and halos
included. `encoder` runs the encoders alone on the same tiles. Medians of rounds that take turns.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks.measuring import command, markdown, medians, report, rounds
from inr_sr import models
from inr_sr.configuration import default
from inr_sr.models import Model
from inr_sr.scales import output_size
from inr_sr.upscaling import NetworkUpscaler
from inr_sr.upscaling.tiles import choose_tile
from inr_sr.weights import load_weights

ROUNDS = 5
LR = 256
SCALES = (2.0, 3.7, 4.0, 8.0)


def networks() -> dict[str, tuple[Model, Any]]:
    """The shipped weights, and EDSR-baseline, whose last layer is not zero here."""
    shipped = load_weights("compact")
    baseline = models.build(default().model)
    params = jax.tree.map(lambda p: p + 1e-3, models.init(baseline, jax.random.key(0)))
    return {
        "compact": (models.build(shipped.config), shipped.params),
        "EDSR-baseline": (baseline, params),
    }


def whole(model: Model, params: Any, image: np.ndarray, scale: float) -> Callable[[], int]:
    """The picture enlarged, strip by strip."""
    upscaler, size = NetworkUpscaler(model, params, "network"), (output_size(LR, scale),) * 2
    return lambda: sum(len(strip) for strip in upscaler.strips(image, size))


def encoder(model: Model, params: Any, image: np.ndarray) -> Callable[[], Any]:
    """The encoder on as many windows, and as large ones, as the picture's tiles are."""
    halo = model.receptive_field
    side, _ = choose_tile((LR, LR), halo, None, lambda tile: True)
    window = np.pad(image, ((0, side), (0, side), (0, 0)), mode="wrap")
    window = np.pad(window[:side, :side], ((halo, halo), (halo, halo), (0, 0)), mode="symmetric")
    features = jax.jit(model.encoder.apply)
    variables = {"params": params["encoder"]}
    return lambda: [features(variables, window[None]) for _ in range((-(-LR // side)) ** 2)]


def measure() -> dict[str, Any]:
    """Seconds of everything."""
    image = np.random.default_rng(0).random((LR, LR, 3), np.float32)
    works: dict[Any, Callable[[], Any]] = {}
    for name, network in networks().items():
        works[name, "encoder"] = encoder(*network, image)
        works |= {(name, scale): whole(*network, image, scale) for scale in SCALES}
    median = medians(rounds(works, ROUNDS))
    return {
        "rounds": ROUNDS,
        "results": [
            {
                "method": name,
                "scale": f"{part:g}" if isinstance(part, float) else part,
                "lr": LR,
                "median_s": seconds,
                "of_encoder": seconds / median[name, "encoder"],
            }
            for (name, part), seconds in median.items()
        ],
    }


def table(result: dict[str, Any]) -> str:
    """The measurement in Markdown."""
    rows = [
        [row["method"], row["scale"], f"{row['median_s']:.3f}", f"{row['of_encoder']:.2f}"]
        for row in result["results"]
    ]
    return markdown(["network", "scale", "s", "of its encoder"], rows)


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
