"""PSNR against scale, as a picture."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inr_sr.evaluation.chart_style import COLOURS, new_figure, plain
from inr_sr.evaluation.results import Results
from inr_sr.sizes import Scale

_BASELINES = {"bicubic": ("0.4", "-"), "lanczos": ("0.55", "--"), "nearest": ("0.7", ":")}


def write_plot(path: Path, results: Results) -> None:
    """Writes a PNG: PSNR against scale by method, and the gain over bicubic if it was measured.

    Scales that differ by axis belong to no place on the line and are left to the tables, unless
    there are no others: then the geometric mean of the two is their place. Nearest neighbour is
    too far below bicubic to show beside the other gains.
    """
    scales = [scale for scale in results.scales if scale.rows == scale.cols] or results.scales
    scales = sorted(scales, key=_position)
    positions = [_position(scale) for scale in scales]
    with_gain = "bicubic" in results.methods and len(results.methods) > 1
    figure = new_figure(11.0 if with_gain else 6.0, 4.2, dpi=130)
    axes = figure.subplots(1, 2 if with_gain else 1, squeeze=False)[0]
    colours = itertools.cycle(COLOURS)
    for method in results.methods:
        baseline = _BASELINES.get(method)
        colour, dashes = baseline or (next(colours), "-")
        style = {
            "color": colour, "linestyle": dashes, "linewidth": 1.4 if baseline else 2.2,
            "marker": "o", "markersize": 4, "label": method,
        }  # fmt: skip
        axes[0].plot(positions, _psnr(results, method, scales), **style)
        if with_gain and method != "nearest":
            # Where both are infinite the difference is NaN, which is drawn as a gap.
            with np.errstate(invalid="ignore"):
                gain = _psnr(results, method, scales) - _psnr(results, "bicubic", scales)
            axes[1].plot(positions, gain, **style)
    channel = results.protocol.channel.upper()
    for axis, label in zip(axes, (f"PSNR, dB ({channel})", f"gain over bicubic, dB ({channel})")):
        axis.set(xscale="log", xlabel="scale", ylabel=label)
        axis.set_xticks(positions, [f"×{scale.label}" for scale in scales])
        axis.minorticks_off()
        plain(axis)
    axes[0].legend(frameon=False)
    figure.savefig(path, format="png")


def _psnr(results: Results, method: str, scales: Sequence[Scale]) -> np.ndarray:
    return np.array([results.headline(results.row(method, scale)) for scale in scales])


def _position(scale: Scale) -> float:
    return math.sqrt(scale.rows * scale.cols)
