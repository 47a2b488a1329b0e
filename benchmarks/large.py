"""Time and memory of the command for outputs of one to a few hundred megapixels.

    python -m benchmarks.large [--json FILE]

`inr-sr upscale` of an image of 512 x 512 to PNG: whole processes with a warm compile cache,
medians of rounds. The peak is the resident memory of the process. What further megapixels cost,
against the line before, shows whether larger outputs take more than their share.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measuring import Result, command, report
from inr_sr.data.sources import EmbeddedSource
from inr_sr.reporting.tables import markdown

ROUNDS = 3
SIDE = 512
SCALES = (2, 4, 8, 16, 30)

# A small process of its own: the peak that the system keeps for a child begins with its parent's.
_MEASURED = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run([sys.executable, "-m", "inr_sr.cli", "upscale", *sys.argv[1:]], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([time.perf_counter() - began, peak * (1 if sys.platform == "darwin" else 1024)]))
"""


def square_image() -> Image.Image:
    """512 x 512 of the largest embedded image, mirrored where that is smaller."""
    source = EmbeddedSource("train")
    largest = max((source[i] for i in range(len(source))), key=lambda x: min(x.shape[:2]))
    pad = [(0, max(0, SIDE - n)) for n in largest.shape[:2]]
    whole = np.pad(largest, (*pad, (0, 0)), mode="symmetric")
    return Image.fromarray(whole[:SIDE, :SIDE])


def once(folder: Path, scale: int) -> tuple[float, float]:
    """Seconds and bytes of one run."""
    arguments = [str(folder / "in.png"), str(folder / "out.png"), "--scale", str(scale)]
    line = [sys.executable, "-c", _MEASURED, *arguments]
    run = subprocess.run(line, capture_output=True, text=True, check=True)
    seconds, peak = json.loads(run.stdout.splitlines()[-1])
    return seconds, peak


def measure() -> Result:
    """Medians of seconds and bytes at each scale."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        square_image().save(folder / "in.png")
        for scale in SCALES:
            once(folder, scale)  # compiles
            runs = [once(folder, scale) for _ in range(ROUNDS)]
            seconds, peak = (statistics.median(values) for values in zip(*runs))
            results.append(
                {
                    "scale": str(scale),
                    "output_pixels": (SIDE * scale) ** 2,
                    "median_s": seconds,
                    "peak_bytes": peak,
                }
            )
    return {"rounds": ROUNDS, "results": results}


def table(result: Result) -> str:
    """The measurement in Markdown."""
    rows, before = [], (0.0, 0.0)
    for row in result["results"]:
        pixels = row["output_pixels"] / 1e6
        more = (row["median_s"] - before[1]) / (pixels - before[0])
        rows.append(
            [
                f"x{row['scale']}",
                f"{pixels:.1f}",
                f"{row['median_s']:.2f}",
                f"{row['median_s'] / pixels:.3f}",
                f"{more:.3f}" if before[0] else "",
                f"{row['peak_bytes'] / 2**30:.2f}",
            ]
        )
        before = pixels, row["median_s"]
    head = ["scale", "megapixels", "s", "s/megapixel", "s/further megapixel", "peak GiB"]
    return markdown(head, rows)


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
