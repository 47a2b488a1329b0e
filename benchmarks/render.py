"""What an output pixel costs once an image is encoded.

    python -m benchmarks.render [--json FILE] [--plot FILE]

Random fields, float32, one process. Methods:

- spectral: the spectral field by strips, as the library renders it; spectral_skip: with the bicubic
  skip.
- spectral_whole: without strips, in one program.
- spectral_per_query: the same field by its formula, at every output pixel on its own.
- liif: this project's LIIF decoder (4 corners, MLP of 4 x 256), in chunks.
- head_strips, head_per_output: a head of one 1x1 layer (64 features for K = 32, 128 for K = 512),
  once per LR pixel and rendered by strips, or as released Thera does it (arXiv 2311.17643): at
  every output pixel, in chunks of rows.

The floor is the time in which the bytes of field and output pass through memory, at the rate of a
fused pass that reads the field and writes a x4 output, measured in the same rounds. Costs are
compared per output pixel, so slow methods run on a smaller LR lattice. Medians of rounds that take
turns; the peak is what a program holds beside its input, by XLA's own account.
"""

import itertools
import math
from pathlib import Path
from typing import Any

from benchmarks.measuring import Result, Work, command, medians, report, rounds
from benchmarks.methods import (
    Case,
    fused_pass,
    head_cases,
    liif_case,
    per_query_case,
    size,
    spectral,
    spectral_case,
    whole_case,
)
from inr_sr.devices import keep_compiled_programs
from inr_sr.reporting.tables import markdown

ROUNDS = 5
SCALES = ("1.1", "2", "2.3", "2.5x3.1", "3.7", "4", "4.01", "7.3", "8", "16", "30")
BASELINES = ("liif", "spectral_per_query")


def cases() -> list[Case]:
    """All lines of the table."""
    return [
        *(spectral_case(scale) for scale in SCALES),
        *(spectral_case(scale, skip=True) for scale in SCALES),
        *(whole_case(scale) for scale in ("3.7", "4")),
        *(per_query_case(scale, 48, 32) for scale in ("3.7", "4", "8")),
        *(liif_case(scale, 48) for scale in ("3.7", "4")),
        *head_cases("4", 128, 32, 64),
        *head_cases("8", 96, 32, 64),
        *head_cases("4", 48, 512, 128),
    ]


def growth() -> dict[str, dict[int, Case]]:
    """What the cost grows with, one thing at a time from x4, LR 128 x 128, K = 32."""
    return {
        "LR side": {n: spectral_case("4", n) for n in (32, 64, 128, 256, 512)},
        "scale": {n: spectral_case(str(n), 128) for n in (2, 3, 4, 6, 8, 16)},
        "waves K": {n: spectral_case("4", 128, n) for n in (8, 16, 32, 64, 128)},
        "features of the head": {n: head_cases("4", 128, 32, n)[0] for n in (32, 64, 128, 256)},
    }


def describe(case: Case, median: float, bandwidth: float) -> dict[str, Any]:
    """A case as JSON holds it."""
    pixels = case.output_pixels
    row = {
        "method": case.method,
        "scale": case.scale,
        "k": case.k,
        "lr": case.lr,
        "output_pixels": pixels,
        "median_s": median,
        "ns_per_pixel": 1e9 * median / pixels,
        "floor_s": (case.input_bytes + 12 * pixels) / bandwidth,
        "peak_bytes": case.peak_bytes,
        "macs_per_pixel": case.macs,
        "xla_flops_per_pixel": case.flops_per_pixel,
    }
    return {name: value for name, value in row.items() if value is not None}


def measure() -> Result:
    """Times of everything."""
    lines, grown = cases(), growth()
    residual = spectral(256, 32).function
    works: dict[Any, Work] = {"floor": lambda: fused_pass(residual)}
    everything = [*lines, *itertools.chain(*(group.values() for group in grown.values()))]
    works |= {id(case): case.work for case in everything}
    median = medians(rounds(works, ROUNDS))
    bandwidth = (size(residual) + 12 * 1024**2) / median["floor"]
    results = [describe(case, median[id(case)], bandwidth) for case in lines]
    cost = {(row["method"], row["scale"]): row["ns_per_pixel"] for row in results}
    for row in results[: 2 * len(SCALES)]:
        for other in BASELINES:
            if (other, row["scale"]) in cost:
                row[f"faster_than_{other}"] = cost[other, row["scale"]] / row["ns_per_pixel"]
    return {
        "rounds": ROUNDS,
        "bandwidth_bytes_per_s": bandwidth,
        "results": results,
        "growth": {
            name: {n: median[id(case)] for n, case in group.items()}
            for name, group in grown.items()
        },
    }


def table(result: Result) -> str:
    """The measurement in Markdown."""
    unit = {
        (row["method"], row.get("k")): row["ns_per_pixel"]
        for row in result["results"]
        if row["scale"] == "4"
    }
    head = ["method", "scale", "K", "LR", "ms", "floors", "ns/pixel", "of x4", "MAC/pixel"]
    head += ["XLA flop/pixel", "peak MiB", "x LIIF", "x per query"]
    rows = []
    for row in result["results"]:
        of_x4 = row["ns_per_pixel"] / unit.get((row["method"], row.get("k")), math.nan)
        ratios = [row.get(f"faster_than_{other}") for other in BASELINES]
        rows.append(
            [
                row["method"],
                row["scale"],
                str(row.get("k", "")),
                str(row["lr"]),
                f"{1e3 * row['median_s']:.4g}",
                f"{row['median_s'] / row['floor_s']:.2f}",
                f"{row['ns_per_pixel']:.4g}",
                f"{of_x4:.2f}",
                f"{row['macs_per_pixel']:.0f}",
                f"{row['xla_flops_per_pixel']:.0f}",
                f"{row['peak_bytes'] / 2**20:.0f}",
                *("" if ratio is None else f"{ratio:.0f}" for ratio in ratios),
            ]
        )
    lines = [markdown(head, rows), "", "Head and rendering, once per LR pixel against per output:"]
    pairs: dict[tuple[str, int], dict[str, float]] = {}
    for row in result["results"]:
        if row["method"].startswith("head"):
            pairs.setdefault((row["scale"], row["k"]), {})[row["method"]] = row["median_s"]
    for (scale, k), times in pairs.items():
        ratio = times["head_per_output"] / times["head_strips"]
        lines.append(f"- K = {k}, x{scale}: {ratio:.1f} times as fast")
    bandwidth = result["bandwidth_bytes_per_s"] / 1e9
    lines += ["", f"Fused pass: {bandwidth:.1f} GB/s. Medians of {result['rounds']} rounds."]
    return "\n".join(lines)


def plot(result: Result, path: Path) -> None:
    """Four panels: what the time grows with."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, 2).flat
    for axes, (name, times) in zip(panels, result["growth"].items()):
        x, y = list(times), [1e3 * t for t in times.values()]
        axes.loglog(x, y, "o-")
        axes.set_xticks(x, [str(n) for n in x], minor=False)
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(xlabel=name, ylabel="ms")
        axes.grid(alpha=0.3)
    figure.suptitle("Rendering: x4, LR 128 x 128, K = 32, but for what is varied")
    figure.savefig(path)


def main() -> None:
    """Prints the table; writes numbers with --json and the plot with --plot."""
    parser = command(__doc__)
    parser.add_argument("--plot", type=Path, help="also draw what costs grow with (PNG, SVG)")
    arguments = parser.parse_args()
    keep_compiled_programs()  # each is compiled to be run, and again for XLA's account
    result = report(arguments, measure, table)
    if arguments.plot:
        plot(result, arguments.plot)


if __name__ == "__main__":
    main()
