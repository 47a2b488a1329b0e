"""Charts of an experiment: differences by scale; power and coherence by frequency."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inr_sr.evaluation.spectra import LR_NYQUIST
from inr_sr.reporting.plots import COLOURS, legend_beside, new_figure, plain, write_svg
from inr_sr.studies.experiments.comparison import Arm, Comparison, Interval, Spectrum
from inr_sr.studies.experiments.experiment import PRIMARY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of arms that share a colour.
_DASHES = ("-", "--", ":")
_MARKS = ("o", "s", "^")


def write_differences(path: Path, comparison: Comparison) -> bool:
    """Writes an SVG: the difference of each arm to its counterpart, with intervals, by scale.

    The same numbers make the same file, byte for byte. Controls have hollow marks.

    Returns:
      Whether there was a difference to draw; if not, nothing is written.
    """
    arms = [arm for arm in comparison.arms if arm.differences]
    if not arms:
        return False
    figure = new_figure(7.0, 3.4)
    axes = figure.subplots()
    axes.axhline(0, color="0.4", linewidth=1)
    labels = list(comparison.crops)
    for index, arm in enumerate(arms):
        found = {k: arm.differences[n] for k, n in enumerate(labels) if n in arm.differences}
        aside = 0.5 * ((index + 0.5) / len(arms) - 0.5)
        colour = COLOURS[index % len(COLOURS)]
        axes.errorbar(
            [k + aside for k in found],
            [interval.mean for interval in found.values()],
            yerr=_lengths(list(found.values())),
            fmt=_MARKS[index // len(COLOURS) % len(_MARKS)],
            color=colour,
            markerfacecolor="white" if arm.control else colour,
            markersize=5,
            capsize=3,
            label=_label(arm, found.values(), comparison),
        )
    axes.set(xlabel="scale", ylabel=f"difference to {comparison.experiment.reference}, dB (Y)")
    axes.set_xticks(range(len(labels)), [f"×{label}" for label in labels])
    _spread_out(axes, [abs(i.mean) for arm in arms for i in arm.differences.values()])
    plain(axes)
    axes.grid(visible=False, axis="x")
    legend_beside(axes)
    write_svg(figure, path, comparison.name)
    return True


def write_spectra(path: Path, comparison: Comparison) -> bool:
    """Writes an SVG: power over the truth's and coherence with it, by frequency, at PRIMARY.

    Returns:
      Whether there was an arm to draw; if not, nothing is written.
    """
    curves: list[tuple[str, Spectrum, dict[str, Any]]] = [
        (
            arm.name,
            arm.quality[PRIMARY].spectrum,
            {
                "color": COLOURS[i % len(COLOURS)],
                "linestyle": _DASHES[i // len(COLOURS) % len(_DASHES)],
            },
        )
        for i, arm in enumerate(comparison.arms)
        if PRIMARY in arm.quality
    ]
    if not curves:
        return False
    curves.append(("bicubic", comparison.bicubic[PRIMARY].spectrum, {"color": "0.4"}))
    figure = new_figure(7.0, 6.2)
    power, coherence = figure.subplots(2, 1, sharex=True)
    for name, spectrum, style in curves:
        frequency = spectrum.frequency[1:]
        power.semilogy(frequency, spectrum.power[1:], label=name, linewidth=1.2, **style)
        coherence.plot(frequency, spectrum.coherence[1:], linewidth=1.2, **style)
    power.set(ylabel=f"power over the truth's, ×{PRIMARY}")
    coherence.set(ylabel="coherence with the truth", xlabel="cycles per LR pixel")
    for axes in (power, coherence):
        axes.axvline(LR_NYQUIST, color="0.7", linewidth=1, linestyle="--")
        plain(axes)
    legend_beside(power)
    write_svg(figure, path, comparison.name)
    return True


def _spread_out(axes: Axes, sizes: list[float]) -> None:
    """Makes the axis logarithmic, linear around 0, where a few differences dwarf the others."""
    usual = float(np.median(sizes))
    if usual > 0 and max(sizes) > 10 * usual:
        axes.set_yscale("symlog", linthresh=usual)
        axes.yaxis.set_major_formatter("{x:g}")


def _lengths(intervals: list[Interval]) -> list[list[float]]:
    """Lengths of the error bars below and above the mean."""
    # A percentile interval of few values need not contain their mean.
    return [
        [max(0.0, i.mean - i.low) for i in intervals],
        [max(0.0, i.high - i.mean) for i in intervals],
    ]


def _label(arm: Arm, drawn: Iterable[Interval], comparison: Comparison) -> str:
    control = " (control)" if arm.control else ""
    seed = ", one seed" if all(interval.seeds == 1 for interval in drawn) else ""
    other = f", to {arm.against}" if arm.against != comparison.experiment.reference else ""
    return f"{arm.name}{control}{seed}{other}"
