"""What an evaluation found, as JSON for programs and as tables for people."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import inr_sr
from inr_sr.evaluation.protocols import Protocol
from inr_sr.reporting.machine import describe_machine
from inr_sr.reporting.panels import Panel
from inr_sr.reporting.tables import Table, json_text, write_text
from inr_sr.sizes import Scale

UNITS = {
    "psnr_y": "dB, with the protocol's border and rounding; null is infinite",
    "psnr_rgb": "dB, with the protocol's border and rounding; null is infinite",
    "ssim": "Wang 2004, on the protocol's channel",
    "lr_psnr": "dB over RGB of the output shrunk again against its LR picture; null is infinite",
    "seconds": "median per picture, the first compilation left out",
    "seconds_per_megapixel": "median per picture, per million output pixels",
    "peak_mib": "highest resident memory of the process while the method ran, where its "
    "high-water mark can be reset (Linux); elsewhere the highest since the process began",
}


@dataclass(frozen=True)
class PictureScore:
    """What one method did to one picture at one scale."""

    name: str
    psnr_y: float
    psnr_rgb: float
    ssim: float
    lr_psnr: float
    seconds: float
    megapixels: float
    peak_mib: float | None


@dataclass(frozen=True)
class Row:
    """One method at one scale: means over the pictures, and the pictures. Units: `UNITS`."""

    dataset: str
    scale: str
    method: str
    psnr_y: float
    psnr_rgb: float
    ssim: float
    lr_psnr: float
    seconds: float
    seconds_per_megapixel: float
    peak_mib: float | None
    parameters: int
    images: tuple[PictureScore, ...]


@dataclass(frozen=True)
class Results:
    """An evaluation: one row per method and scale, and panels that show some pictures."""

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
        return self.protocol.headline(row.psnr_y, row.psnr_rgb)

    def summary(self) -> str:
        """One sentence: what was measured, and how."""
        count = len(self.rows[0].images)
        return (
            f"{self.dataset}, {count} picture{'' if count == 1 else 's'}, protocol "
            f"{self.protocol.name}: {self.protocol.description}."
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of the JSON file, where an infinite PSNR becomes null."""
        return {
            "results": [asdict(row) for row in self.rows],
            "dataset": self.dataset,
            "protocol": asdict(self.protocol),
            "units": UNITS,
            "version": inr_sr.__version__,
            "machine": self.machine,
        }

    def tables(self) -> list[Table]:
        """Quality, gain over bicubic where it was measured, consistency, cost."""
        channel = self.protocol.channel.upper()
        quality = self._table(
            f"PSNR in dB / SSIM ({channel})",
            lambda row: f"{decibels(self.headline(row))} / {row.ssim:.4f}",
            self.methods,
            self.headline,
        )
        others = [method for method in self.methods if method != "bicubic"]
        gain = self._table(f"Gain over bicubic in dB ({channel})", self._gain, others)
        consistency = self._table(
            "LR-consistency PSNR in dB: the output shrunk again, against the LR picture (RGB)",
            lambda row: decibels(row.lr_psnr),
            self.methods,
        )
        with_gain = [gain] if others and "bicubic" in self.methods else []
        return [quality, *with_gain, consistency, self._cost()]

    def to_markdown(self) -> str:
        """The tables as GitHub Markdown, under one sentence that says what was measured how."""
        return "\n\n".join([self.summary(), *(t.to_markdown() for t in self.tables())]) + "\n"

    def _table(
        self,
        title: str,
        text: Callable[[Row], str],
        methods: Sequence[str],
        value: Callable[[Row], float] | None = None,
    ) -> Table:
        """Methods down, scales across; where `value` is highest in a column is the best."""
        grid = [[self.row(method, scale) for scale in self.scales] for method in methods]
        best = set()
        if value is not None and len(methods) > 1:
            for j in range(len(self.scales)):
                column = [value(line[j]) for line in grid]
                best.add((column.index(max(column)), j + 1))
        head = ("method", *(f"×{scale.label}" for scale in self.scales))
        rows = tuple((m, *map(text, line)) for m, line in zip(methods, grid, strict=True))
        return Table(title, head, rows, frozenset(best))

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


def decibels(value: float) -> str:
    """A PSNR with two decimals, or the sign of infinity."""
    return "∞" if math.isinf(value) else f"{value:.2f}"


def write_json(path: Path, results: Results) -> None:
    """Writes `results` to the JSON file `path` atomically; InputError if it cannot."""
    write_text(path, json_text(results.to_dict()))


def write_markdown(path: Path, results: Results) -> None:
    """Writes the tables of `results` to `path` atomically; InputError if it cannot."""
    write_text(path, results.to_markdown())
