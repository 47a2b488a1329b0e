"""The results of an evaluation, as JSON for programs and as tables for people."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import inr_sr
from inr_sr.evaluation.metrics import METRICS
from inr_sr.evaluation.protocols import Protocol
from inr_sr.reporting.machine import describe_machine
from inr_sr.reporting.panels import Panel
from inr_sr.reporting.tables import Table, json_text, write_text
from inr_sr.sizes import Scale

QUALITY = ("psnr_y", "psnr_rgb", "ssim")
"""Metrics that share the first table; any other one has a table of its own."""

COST_UNITS = {
    "seconds": "median per image, the first compilation left out",
    "seconds_per_megapixel": "median per image, per million output pixels",
    "peak_mib": "highest resident memory of the process while the method ran, where its "
    "high-water mark can be reset (Linux); elsewhere the highest since the process began",
}


@dataclass(frozen=True)
class ImageScore:
    """What one method did to one image at one scale; `scores` by the names of METRICS."""

    name: str
    scores: dict[str, float]
    seconds: float
    megapixels: float
    peak_mib: float | None

    def to_dict(self) -> dict[str, object]:
        """Its object in the JSON file, where the scores lie beside the other numbers."""
        cost = {"seconds": self.seconds, "megapixels": self.megapixels, "peak_mib": self.peak_mib}
        return {"name": self.name, **self.scores, **cost}


@dataclass(frozen=True)
class Row:
    """One method at one scale: mean scores over the images, costs, and the images.

    Units: those of METRICS, and COST_UNITS.
    """

    dataset: str
    scale: str
    method: str
    scores: dict[str, float]
    seconds: float
    seconds_per_megapixel: float
    peak_mib: float | None
    parameters: int
    images: tuple[ImageScore, ...]

    def to_dict(self) -> dict[str, object]:
        """Its object in the JSON file, where the scores lie beside the other numbers."""
        return {
            "dataset": self.dataset,
            "scale": self.scale,
            "method": self.method,
            **self.scores,
            "seconds": self.seconds,
            "seconds_per_megapixel": self.seconds_per_megapixel,
            "peak_mib": self.peak_mib,
            "parameters": self.parameters,
            "images": [image.to_dict() for image in self.images],
        }


@dataclass(frozen=True)
class Results:
    """An evaluation: one row per method and scale, and panels that show some of the images."""

    dataset: str
    protocol: Protocol
    scales: tuple[Scale, ...]
    methods: tuple[str, ...]
    rows: tuple[Row, ...]
    panels: tuple[Panel, ...] = ()
    machine: dict[str, str] = field(default_factory=describe_machine)

    def row(self, method: str, scale: Scale) -> Row:
        """The row of a method at a scale."""
        wanted = (method, scale.label)
        return next(row for row in self.rows if (row.method, row.scale) == wanted)

    def headline(self, row: Row) -> float:
        """PSNR in dB on the protocol's channel."""
        return self.protocol.headline(row.scores)

    def summary(self) -> str:
        """One sentence: data, number of images and protocol."""
        count = len(self.rows[0].images)
        return (
            f"{self.dataset}, {count} image{'' if count == 1 else 's'}, protocol "
            f"{self.protocol.name}: {self.protocol.description}."
        )

    def to_dict(self) -> dict[str, object]:
        """The content of the JSON file, where an infinite PSNR becomes null."""
        return {
            "results": [row.to_dict() for row in self.rows],
            "dataset": self.dataset,
            "protocol": asdict(self.protocol),
            "units": {name: metric.unit for name, metric in METRICS.items()} | COST_UNITS,
            "version": inr_sr.__version__,
            "machine": self.machine,
        }

    def tables(self) -> list[Table]:
        """Quality, gain over bicubic where it was measured, a table a further metric, cost."""
        channel = self.protocol.channel.upper()
        psnr, ssim = METRICS[self.protocol.headline_metric], METRICS["ssim"]
        quality = self._table(
            f"PSNR in dB / SSIM ({channel})",
            lambda row: f"{psnr.text(self.headline(row))} / {ssim.text(row.scores['ssim'])}",
            self.methods,
            self.headline,
        )
        others = [method for method in self.methods if method != "bicubic"]
        gain = self._table(f"Gain over bicubic in dB ({channel})", self._gain, others)
        with_gain = [gain] if others and "bicubic" in self.methods else []
        further = [self._metric_table(name) for name in METRICS if name not in QUALITY]
        return [quality, *with_gain, *further, self._cost()]

    def to_markdown(self) -> str:
        """The tables in GitHub's Markdown, under the summary."""
        return "\n\n".join([self.summary(), *(t.to_markdown() for t in self.tables())]) + "\n"

    def _table(
        self,
        title: str,
        text: Callable[[Row], str],
        methods: Sequence[str],
        value: Callable[[Row], float] | None = None,
    ) -> Table:
        """Methods down, scales across; at each scale the highest `value` is the best."""
        grid = [[self.row(method, scale) for scale in self.scales] for method in methods]
        best = set()
        if value is not None and len(methods) > 1:
            for j in range(len(self.scales)):
                column = [value(line[j]) for line in grid]
                best.add((column.index(max(column)), j + 1))
        head = ("method", *(f"×{scale.label}" for scale in self.scales))
        rows = tuple((m, *map(text, line)) for m, line in zip(methods, grid, strict=True))
        return Table(title, head, rows, frozenset(best))

    def _metric_table(self, name: str) -> Table:
        """The scores of one metric."""
        metric = METRICS[name]
        sign = {True: 1.0, False: -1.0, None: None}[metric.higher_is_better]
        return self._table(
            metric.title or f"{name}: {metric.unit}",
            lambda row: metric.text(row.scores[name]),
            self.methods,
            None if sign is None else lambda row: sign * row.scores[name],
        )

    def _gain(self, row: Row) -> str:
        scale = next(scale for scale in self.scales if scale.label == row.scale)
        difference = self.headline(row) - self.headline(self.row("bicubic", scale))
        return f"{difference:+.2f}" if math.isfinite(difference) else "–"

    def _cost(self) -> Table:
        speed = self._table(
            "Seconds per output megapixel, and what it takes",
            lambda row: f"{row.seconds_per_megapixel:.3g}",
            self.methods,
        )
        rows = []
        for text in speed.rows:
            own = [row for row in self.rows if row.method == text[0]]
            peaks = [row.peak_mib for row in own if row.peak_mib is not None]
            peak = f"{max(peaks):,.0f}" if peaks else "–"
            rows.append((*text, f"{own[0].parameters:,}", peak))
        return Table(speed.title, (*speed.head, "parameters", "peak MiB"), tuple(rows))


def write_json(path: Path, results: Results) -> None:
    """Writes `results` to the JSON file `path` atomically; InputError if it cannot."""
    write_text(path, json_text(results.to_dict()))


def write_markdown(path: Path, results: Results) -> None:
    """Writes the tables of `results` to `path` atomically; InputError if it cannot."""
    write_text(path, results.to_markdown())
