"""Plots of the measures, as PNG bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inr_sr.evaluation.spectra import LR_NYQUIST
from inr_sr.reporting.plots import COLOURS, legend_beside, new_figure, plain, png_bytes
from inr_sr.studies.diagnosis.frequencies import QUERY, Frequencies
from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.modulation import Modulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NETWORK, _BICUBIC, _TRUTH = COLOURS[0], "0.55", "black"
_FILL: tuple[dict[str, Any], ...] = ({"markerfacecolor": "none", "alpha": 0.5}, {})
_LOWEST = 1e-8
"""Spectra are cut below this power: rounding to 8 bits has about 1e-6."""


def frequency_plot(found: Frequencies, scale: float) -> bytes:
    """Every matrix in the frequency plane, at the start and now, with the Nyquist frequencies.

    Where all frequencies are near 0, a second plane magnifies them.
    """
    largest = max(float(np.abs(w.now).max()) for w in found.matrices.values())
    started = max(float(np.abs(w.first).max()) for w in found.matrices.values())
    reach = 1.08 * max(scale / 2, largest, started)
    near = 1.15 * max(largest, started)
    planes = [reach, near] if near < 0.4 * reach else [reach]
    figure = new_figure(5.2 * len(planes) + 1.6, 5.0)
    for axes, limit in zip(figure.subplots(1, len(planes), squeeze=False)[0], planes):
        for index, (name, waves) in enumerate(found.matrices.items()):
            colour = COLOURS[index % len(COLOURS)]
            label = "query" if name == QUERY else f"band {name.rpartition('_')[2]}"
            paths = np.stack([waves.first, waves.now])  # [2, K, 2]
            axes.plot(paths[..., 1], paths[..., 0], color=colour, alpha=0.25, linewidth=0.8)
            for (rows, cols), fill, text in zip(paths.transpose(0, 2, 1), _FILL, ("start", "now")):
                axes.plot(cols, rows, "o", color=colour, markersize=4, label=f"{label}, {text}",
                          **fill)  # fmt: skip
        for radius, dashes, text in (
            (LR_NYQUIST, "--", "LR Nyquist"), (scale / 2, "-", f"Nyquist of ×{scale:g}"),
        ):  # fmt: skip
            turn = np.linspace(0, 2 * np.pi, 200)
            axes.plot(radius * np.cos(turn), radius * np.sin(turn), dashes, color="0.3",
                      linewidth=1, label=text)  # fmt: skip
        axes.set(xlim=(-limit, limit), ylim=(limit, -limit), aspect="equal")
        axes.set(xlabel="cycles per LR pixel, across", ylabel="cycles per LR pixel, down")
        axes.set_title("to the output's Nyquist" if limit == reach else "the same, near 0")
        axes.locator_params(nbins=5)
        plain(axes)
    legend_beside(axes, fontsize=9)
    return png_bytes(figure)


def modulation_plot(found: Modulation) -> bytes:
    """The spectrum of the modulation; entropy and distance of each head."""
    figure = new_figure(12.5, 3.9)
    spectrum, entropy, distance = figure.subplots(1, 3, width_ratios=(2.0, 1.0, 1.0))
    power = found.power[1:] / max(float(found.power[1:].max()), 1e-30)
    shown = np.where(power > _LOWEST, power, np.nan)
    spectrum.semilogy(found.frequency[1:], shown, color=_NETWORK, linewidth=2.2)
    spectrum.set(xlim=(0, found.frequency[-1]), ylim=(_LOWEST / 2, 2))
    _mark_nyquist(spectrum)
    spectrum.set(xlabel="cycles per LR pixel", ylabel="power, largest 1", title="modulation m(x)")
    heads = np.arange(len(found.tau)) + 1
    if found.attended > 1:
        entropy.bar(heads, found.entropy, color=_NETWORK)
        entropy.axhline(1, color="0.3", linewidth=1, linestyle="--")
    entropy.set(ylim=(0, 1.08), xlabel="head", title="entropy / log k")
    distance.bar(heads - 0.2, found.distance, 0.4, color=_NETWORK, label="distance attended to")
    distance.bar(heads + 0.2, found.tau, 0.4, color="0.75", label="τ")
    distance.axhline(found.spacing, color="0.3", linewidth=1, linestyle="--", label="spacing")
    distance.set(xlabel="head", title="LR pixels")
    distance.legend(frameon=False, fontsize=8)
    for axes in (entropy, distance):
        axes.set_xticks(heads)
    for axes in (spectrum, entropy, distance):
        plain(axes)
    return png_bytes(figure)


def output_plot(measures: Measures) -> bytes:
    """Spectra of output, bicubic, truth and ablations; coherence with the truth."""
    found = measures.output
    figure = new_figure(12.5, 4.3)
    power, coherence = figure.subplots(1, 2)
    curves: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("truth", found.truth_power, {"color": _TRUTH}),
        ("bicubic", found.bicubic.power, {"color": _BICUBIC, "linewidth": 3}),
        ("network", found.network.power, {"color": _NETWORK, "linewidth": 2.2}),
        ("tokens shuffled", measures.shuffled.power, {"color": COLOURS[1], "linestyle": ":"}),
        ("modulation 0", measures.zeroed.power, {"color": COLOURS[2], "linestyle": ":"}),
    ]
    for label, values, style in curves:
        shown = np.where(values > _LOWEST, values, np.nan)
        power.semilogy(found.frequency[1:], shown[1:], label=label, **style)
    for label, method, style in (
        ("bicubic", found.bicubic, {"color": _BICUBIC, "linewidth": 3}),
        ("network", found.network, {"color": _NETWORK, "linewidth": 2.2}),
    ):
        coherence.plot(found.frequency[1:], method.coherence[1:], label=label, **style)
    coherence.axhline(0, color="0.3", linewidth=1)
    power.set(ylabel="power of luma", title="how much there is")
    coherence.set(ylabel="coherence", ylim=(-0.3, 1.03), title="how much of it is right")
    for axes in (power, coherence):
        axes.set(xlabel="cycles per LR pixel", xlim=(0, found.frequency[-1]))
        _mark_nyquist(axes)
        axes.legend(frameon=False, fontsize=9)
        plain(axes)
    return png_bytes(figure)


def _mark_nyquist(axes: Axes) -> None:
    axes.axvline(LR_NYQUIST, color="0.3", linewidth=1, linestyle="--")
    axes.text(LR_NYQUIST, 0.02, " LR Nyquist", transform=axes.get_xaxis_transform(), fontsize=8)
