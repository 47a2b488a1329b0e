"""Differences to the reference by scale, as a picture."""

from pathlib import Path

from inr_sr.evaluation.plot import COLOURS
from inr_sr.experiments.comparison import Arm, Comparison
from inr_sr.files import atomic_path


def write_chart(path: Path, comparison: Comparison) -> bool:
    """Writes an SVG: for each arm its difference to the reference, with intervals, by scale.

    The same numbers make the same file. Controls have hollow marks.

    Returns:
      Whether there was any difference to draw; if not, nothing is written.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot there is no global state, no display

    arms = [arm for arm in comparison.arms if arm.differences]
    if not arms:
        return False
    labels = list(comparison.crops)
    # Text stays text: the file is smaller, and its labels can be searched.
    with matplotlib.rc_context({"svg.hashsalt": comparison.name, "svg.fonttype": "none"}):
        figure = Figure(figsize=(7.0, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="0.4", linewidth=1)
        for index, arm in enumerate(arms):
            found = {k: arm.differences[n] for k, n in enumerate(labels) if n in arm.differences}
            aside = 0.5 * ((index + 0.5) / len(arms) - 0.5)
            means = [interval.mean for interval in found.values()]
            colour = COLOURS[index % len(COLOURS)]
            axes.errorbar(
                [k + aside for k in found],
                means,
                # A percentile interval need not hold the mean where there are few resamples of it.
                yerr=[
                    [max(0.0, i.mean - i.low) for i in found.values()],
                    [max(0.0, i.high - i.mean) for i in found.values()],
                ],
                fmt="o",
                color=colour,
                markerfacecolor="white" if arm.control else colour,
                markersize=5,
                capsize=3,
                label=_label(arm, comparison),
            )
        reference = comparison.experiment.reference
        axes.set(xlabel="scale", ylabel=f"difference to {reference}, dB (Y)")
        axes.set_xticks(range(len(labels)), [f"×{label}" for label in labels])
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
    return True


def _label(arm: Arm, comparison: Comparison) -> str:
    control = " (control)" if arm.control else ""
    other = f", to {arm.against}" if arm.against != comparison.experiment.reference else ""
    return f"{arm.name}{control}{other}"
