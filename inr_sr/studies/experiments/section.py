"""The section of an experiment in docs/experiments.md: written by the runner, except the verdict.

<!-- NAME -->
... written by the runner ...
<!-- NAME verdict -->
... written by hand, kept ...
<!-- /NAME verdict -->
<!-- /NAME -->
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.studies.experiments.charts import write_differences, write_spectra
from inr_sr.studies.experiments.comparison import (
    LEVEL,
    RESAMPLES,
    Arm,
    Comparison,
    Interval,
    Quality,
)
from inr_sr.studies.experiments.experiment import PRIMARY
from inr_sr.studies.experiments.scoring import PROTOCOL

DOCUMENT = "experiments.md"
CHARTS = "experiments"  # their folder beside the document


def read_document(docs: Path, names: Sequence[str]) -> str:
    """The current document, "" where there is none.

    Raises:
      InputError: it cannot be read, or the markers of one of the `names` are not in pairs, those of
        the verdict within those of the section.
    """
    path = docs / DOCUMENT
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    for name in names:
        for marked in (name, f"{name} verdict"):
            found = re.findall(rf"<!-- (/?){re.escape(marked)} -->", text)
            if found not in ([], ["", "/"]):
                raise InputError(
                    f"{path}: <!-- {marked} --> and <!-- /{marked} --> must be there once each, "
                    "in this order, or not at all"
                )
        verdict = f"<!-- {name} verdict -->"
        if verdict in text and verdict not in (_between(text, name) or ""):
            raise InputError(f"{path}: {verdict} must stand in the section <!-- {name} -->")
    return text


def write_section(docs: Path, comparison: Comparison, command: str) -> None:
    """Writes section and charts of an experiment, in place of earlier ones or at the end.

    Args:
      docs: the folder of the document; created if it is not there.
      comparison: the content of the section.
      command: that makes the section again.

    Raises:
      InputError: as `read_document`, or the files cannot be written.
    """
    name = comparison.name
    try:
        parts = (*_parts(comparison, command), *_charts(docs / CHARTS, comparison))
        own = "\n\n".join(part for part in parts if part)
        # Read only now: drawing takes seconds, in which somebody may have written a verdict.
        text = read_document(docs, [name])
        verdict = _between(text, f"{name} verdict")
        inner = f"\n{own}\n\n{_marked(f'{name} verdict', verdict or chr(10))}\n"
        section = _marked(name, inner)
        old = _between(text, name)
        if old is not None:
            text = text.replace(_marked(name, old), section)
        else:
            text = "\n\n".join(part for part in (text.rstrip("\n"), section) if part) + "\n"
        with atomic_path(docs / DOCUMENT) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write in {docs}: {error.strerror}") from error


def _marked(name: str, inner: str) -> str:
    return f"<!-- {name} -->{inner}<!-- /{name} -->"


def _between(text: str, name: str) -> str | None:
    """The text between the markers of a name, or None."""
    match = re.search(re.escape(_marked(name, "\0")).replace("\0", "(.*?)"), text, re.DOTALL)
    return match[1] if match else None


def _parts(comparison: Comparison, command: str) -> list[str]:
    experiment = comparison.experiment
    return [
        f"## {comparison.name}",
        f"**Question.** {_line(experiment.question)}",
        f"**Prediction, written before.** {_line(experiment.prediction)}",
        f"    {command}",
        _protocol(comparison),
        _unfinished(comparison),
        _table(comparison),
    ]


def _charts(folder: Path, comparison: Comparison) -> list[str]:
    """Draws the charts and returns links to them."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        f"{comparison.name}.svg": ("differences by scale", write_differences),
        f"{comparison.name}_spectra.svg": ("power and coherence by frequency", write_spectra),
    }
    return [
        f"![{text}]({CHARTS}/{file})"
        for file, (text, write) in drawn.items()
        if write(folder / file, comparison)
    ]


def _line(text: str) -> str:
    return " ".join(text.split())


def _protocol(comparison: Comparison) -> str:
    """One paragraph: data, steps, seeds, crops, what the columns are."""
    experiment = comparison.experiment
    steps = " to ".join(f"{n:,}" for n in sorted({comparison.steps[0], comparison.steps[-1]}))
    crops = ", ".join(f"{n} at ×{label}" for label, n in comparison.crops.items())
    minutes = [arm.minutes for arm in comparison.arms if arm.seeds]
    spent = " to ".join(sorted({f"{n:.1f}" for n in (min(minutes), max(minutes))}, key=float))
    small = "".join(
        f" Too small at ×{label}: {', '.join(names)}."
        for label, names in comparison.too_small.items()
    )
    named = ", or of the arm that is named," if experiment.against else ""
    found = [arm.differences[PRIMARY] for arm in comparison.arms if PRIMARY in arm.differences]
    alone = any(interval.seeds == 1 for interval in found)
    few = " An interval of one seed is of photos alone." if alone else ""
    return (
        f"Trained on {' and '.join(comparison.trained_on)}, {steps} steps, seeds "
        f"{', '.join(map(str, experiment.seeds))}; {spent} min a run on "
        f"{'; '.join(comparison.hardware)}. Measured on {comparison.photos} photos of "
        f"{comparison.tested_on}, crops of {experiment.lr_size} × {experiment.lr_size} LR pixels "
        f"({crops}), protocol `{PROTOCOL.name}`: {PROTOCOL.description}.{small} Gains are PSNR (Y) "
        f"above bicubic in dB, mean ± standard deviation over seeds. The difference is the gain "
        f"less that of `{experiment.reference}`{named} at ×{PRIMARY}, with a {LEVEL:.0%} interval "
        f"by {RESAMPLES:,} resamples of photos and of the seeds that both have.{few} "
        f"Consistency, energy and coherence are at ×{PRIMARY}, the last two beyond the LR Nyquist "
        "frequency."
    )


def _unfinished(comparison: Comparison) -> str:
    """Runs that are missing, and those that failed."""
    lines = []
    for arm in comparison.arms:
        if arm.missing:
            plural = "seeds" if len(arm.missing) > 1 else "seed"
            lines.append(f"`{arm.name}` lacks {plural} {', '.join(map(str, arm.missing))}.")
        lines += [
            f"`{arm.name}` failed with seed {seed}: {_line(reason)}."
            for seed, reason in arm.failures.items()
        ]
    return f"**Not complete.** {' '.join(lines)}" if lines else ""


def _table(comparison: Comparison) -> str:
    labels = list(comparison.crops)
    head = [
        "arm", "seeds", "parameters, encoder + decoder", "min/run", *(f"gain ×{n}" for n in labels),
        f"difference ×{PRIMARY}", "LR consistency, dB", "energy", "coherence",
    ]  # fmt: skip
    blank = ["", "", "", *("" for _ in labels), ""]
    rows = [["bicubic", *blank, *_beyond(comparison.bicubic.get(PRIMARY))]]
    rows += [_row(arm, comparison, labels) for arm in comparison.arms]
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(arm: Arm, comparison: Comparison, labels: Sequence[str]) -> list[str]:
    seeds = len(comparison.experiment.seeds)
    difference = _interval(arm.differences.get(PRIMARY), seeds) if arm.against else "reference"
    if arm.against not in ("", comparison.experiment.reference):
        difference += f" to `{arm.against}`"
    return [
        f"`{arm.name}`{' (control)' if arm.control else ''}",
        str(len(arm.seeds)),
        f"{arm.encoder:,} + {arm.decoder:,}" if arm.encoder else "–",
        f"{arm.minutes:.1f}" if arm.seeds else "–",
        *(_spread(arm.gains.get(label, ())) for label in labels),
        difference,
        *_beyond(arm.quality.get(PRIMARY)),
    ]


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation; of one value, the value."""
    if not values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:+.2f}"
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:+.2f} ± {deviation:.2f}"


def _interval(interval: Interval | None, seeds: int) -> str:
    """A difference; with its number of seeds where that is less than `seeds`."""
    if interval is None:
        return "–"
    few = "" if interval.seeds == seeds else f", {interval.seeds} of {seeds} seeds"
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]{few}"


def _beyond(quality: Quality | None) -> list[str]:
    if quality is None:
        return ["–", "–", "–"]
    energy, coherence = quality.energy_ratio, quality.mean_coherence
    return [f"{quality.lr_psnr:.1f}", f"{energy:.3f}", f"{coherence:.3f}"]
