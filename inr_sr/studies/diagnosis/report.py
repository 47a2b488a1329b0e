"""The page of a diagnosis: verdicts, plots and how to read them, images, numbers."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from inr_sr.errors import InputError
from inr_sr.files import atomic_folder, check_own_folder
from inr_sr.reporting.page import figure, page, table
from inr_sr.reporting.panels import Panel, comparison, draw
from inr_sr.reporting.tables import Table
from inr_sr.studies.diagnosis import measure_plots
from inr_sr.studies.diagnosis.edge_crops import EdgeCrop
from inr_sr.studies.diagnosis.frequencies import Frequencies, FrequencyMatrix
from inr_sr.studies.diagnosis.measures import Measures
from inr_sr.studies.diagnosis.modulation import Modulation
from inr_sr.studies.diagnosis.output_quality import mean_psnr
from inr_sr.studies.diagnosis.verdict import STATES, Verdict
from inr_sr.values import to_uint8

FOLDER = "diagnosis"
_MARKS = ("index.html", "measures.json")
_SHOWN = 2  # images


def check_replaceable(workdir: Path) -> None:
    """Raises InputError where no diagnosis can be written in a work folder."""
    check_own_folder(workdir / FOLDER, _MARKS, "a diagnosis")


def panels(
    crops: Sequence[EdgeCrop], outputs: Sequence[np.ndarray], bicubic: Sequence[np.ndarray]
) -> list[Panel]:
    """LR pixels, bicubic, network and truth for one crop of each of the first images.

    Args:
      crops: see `edge_crops`.
      outputs, bicubic: float32 [H, W, 3] in [0, 1] of each.
    """
    first = {crop.image: i for i, crop in reversed(list(enumerate(crops)))}
    shown = []
    for index in sorted(first.values())[:_SHOWN]:
        crop = crops[index]
        pair = {"bicubic": bicubic[index], "network": outputs[index]}
        notes = {name: f"{mean_psnr([crop], [x]):.2f} dB" for name, x in pair.items()}
        images = {name: to_uint8(x) for name, x in pair.items()}
        shown.append(comparison(crop.name, crop.name, crop.lr, images, crop.truth, notes, (0, 0)))
    return shown


def write_diagnosis(
    workdir: Path,
    measures: Measures,
    found: Mapping[str, Verdict],
    shown: Sequence[Panel],
    facts: Mapping[str, str],
) -> Path:
    """Writes index.html and measures.json to a folder of the work folder, both or neither.

    Returns:
      The path of the page, a single file with its images inside.

    Raises:
      InputError: the folder holds something else, or cannot be written.
    """
    folder = (workdir / FOLDER).resolve()
    check_replaceable(workdir)
    causes = sum(verdict.state == "cause" for verdict in found.values())
    summary = (
        f"{causes or 'No'} cause{'' if causes == 1 else 's'} found among {len(found)} suspects, "
        f"at ×{measures.scale:g}: {measures.output.gain:+.2f} dB over bicubic."
    )
    body = [*_verdicts(found), *_plots(measures), *_panels(shown), *_numbers(measures)]
    text = page(f"Diagnosis of {workdir.resolve().name}", summary, body, facts)
    try:
        with atomic_folder(folder) as temporary:
            (temporary / "index.html").write_text(text, encoding="utf-8")
            (temporary / "measures.json").write_text(measures.to_json(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    return folder / "index.html"


def _verdicts(found: Mapping[str, Verdict]) -> Iterator[str]:
    yield '<h2>Verdicts</h2>\n<dl class="verdicts">'
    for suspect, verdict in found.items():
        remedy = f" <em>{html.escape(verdict.remedy)}</em>" if verdict.remedy else ""
        yield (
            f'<dt class="{verdict.state}">{STATES[verdict.state]}</dt>'
            f"<dd><strong>{html.escape(suspect)}.</strong> "
            f"{html.escape(verdict.sentence)}{remedy}</dd>"
        )
    yield "</dl>"


def _plots(measures: Measures) -> Iterator[str]:
    decoder = measures.recipe.decoder
    yield (
        "<h2>Output</h2>\n<p>Left, a curve below the truth's right of the dashed line is detail "
        "that is missing. Right, a curve at 0 there is detail that is not in the truth.</p>"
    )
    yield figure(
        measure_plots.output_plot(measures), "plot", alt="Spectra and coherence of the output"
    )
    yield "<h2>Frequencies</h2>"
    if measures.frequencies is None:
        yield f"<p>The decoder {decoder} has none.</p>"
    else:
        yield (
            "<p>Each dot is a wave; b and −b are the same. Only those outside the dashed circle "
            "can draw what the LR image does not hold; none outside the full circle is visible.</p>"
        )
        png = measure_plots.frequency_plot(measures.frequencies, measures.scale)
        yield figure(png, "plot", alt="Frequencies at the start and now")
    yield "<h2>Modulation</h2>"
    if measures.modulation is None:
        yield f"<p>The decoder {decoder} has no modulation by attention.</p>"
    else:
        yield (
            "<p>Left, the spectrum of the modulation over the image; teeth are seams between the "
            "tokens' cells. Entropy 1 is the plain mean of the tokens, 0 a single one. A head that "
            "attends much farther than the tokens' spacing (dashed) sees an average of the "
            "image.</p>"
        )
        png = measure_plots.modulation_plot(measures.modulation)
        yield figure(png, "plot", alt="Spectrum of the modulation, entropy and distance by head")


def _panels(panels: Sequence[Panel]) -> Iterator[str]:
    yield (
        "<h2>Images</h2>\n<p>Above, held-out crops pixel by pixel; below, the marked part "
        "magnified four times. The mark lies where bicubic's error is largest.</p>"
    )
    for panel in panels:
        buffer = io.BytesIO()
        draw(panel).save(buffer, format="PNG", optimize=True)
        yield figure(buffer.getvalue(), "panel", alt=panel.title, caption=panel.title)


def _numbers(measures: Measures) -> Iterator[str]:
    yield "<h2>Numbers</h2>"
    yield table(_output_table(measures))
    yield table(_ablation_table(measures))
    if measures.frequencies is not None:
        yield table(_frequency_table(measures.frequencies))
    if measures.modulation is not None:
        yield table(_head_table(measures.modulation))
        yield table(_steepness_table(measures.modulation))


def _output_table(measures: Measures) -> Table:
    output = measures.output
    head = (
        "method", "PSNR, dB (Y)", "LR consistency, dB", "energy beyond LR Nyquist / truth's",
        "mean coherence there", "slope there",
    )  # fmt: skip
    rows = [
        (name, _number(m.psnr, 2), _number(m.lr_psnr, 2), _number(m.energy, 3),
         _number(m.mean_coherence, 3), _number(m.slope, 2))
        for name, m in (("network", output.network), ("bicubic", output.bicubic))
    ]  # fmt: skip
    same = _number(output.same_size, 2)
    return Table(
        f"Output. At ×1 the network reproduces the LR image at {same} dB", head, tuple(rows)
    )


def _ablation_table(measures: Measures) -> Table:
    rows = [
        (name, _number(255 * c.change, 2), _number(c.psnr_fall, 2), _number(c.energy, 3))
        for name, c in (("tokens shuffled", measures.shuffled), ("modulation 0", measures.zeroed))
    ]
    head = ("ablation", "change of the output, of 255", "PSNR lost, dB", "energy beyond / truth's")
    return Table("Ablations", head, tuple(rows))


def _frequency_table(found: Frequencies) -> Table:
    def row(name: str, waves: FrequencyMatrix) -> tuple[str, ...]:
        quantiles = (_number(x, 4) for x in waves.length.values())
        shares = (f"{x:.0%}" for x in (waves.beyond_lr, waves.beyond_output))
        rank = f"{waves.effective_rank:.1f} of {waves.most:.0f}"
        apart = _number(waves.closest, 4), _number(waves.gap, 2)
        return (name, _number(waves.moved, 3), *quantiles, *shares, *apart, rank)

    head = (
        "matrix", "moved", "|b| 5 %", "25 %", "50 %", "75 %", "95 %", "max", "beyond LR Nyquist",
        "beyond output's", "closest pair", "gap", "effective rank",
    )  # fmt: skip
    named = {**found.matrices, "all that draw": found.together}
    ratio = (
        "was not recorded"
        if math.isnan(found.gradient_ratio)
        else f"was {found.gradient_ratio:.2g} of that of all else, on average"
    )
    title = (
        f"Frequencies, cycles per LR pixel, evaluated over {found.region.name}. "
        f"Their gradient {ratio}"
    )
    return Table(title, head, tuple(row(*item) for item in named.items()))


def _head_table(found: Modulation) -> Table:
    rows = [
        (str(i + 1), _number(found.entropy[i], 3), _number(found.distance[i], 2),
         _number(found.tau[i], 2))
        for i in range(len(found.tau))
    ]  # fmt: skip
    head = ("head", "entropy / log k", "distance, LR pixels", "τ, LR pixels")
    title = f"Attention to {found.attended} tokens, {found.spacing} LR pixels apart"
    return Table(title, head, tuple(rows))


def _steepness_table(found: Modulation) -> Table:
    rows = [
        (name, *(_number(x, 4) for x in values.values()))
        for name, values in found.steepness.items()
    ]
    head = ("singular value of dm/dx per LR pixel / |m|", "median", "95 %")
    title = (
        f"Modulation. Its mean frequency is {found.rate:.2g} cycles per LR pixel, seams left out; "
        f"{found.beyond_lr:.2g} of its variation is beyond LR Nyquist"
    )
    return Table(title, head, tuple(rows))


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
