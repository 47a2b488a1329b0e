"""What keeping freed memory saves a training run on CPUs (inr_sr/devices.py).

    python -m benchmarks.kept_memory [--json FILE]

Steps of three systems on the embedded images, as training runs them, in processes of their own
that take turns: one leaves memory to the C library, the other keeps it. Page faults of a step, and
the peak memory of a process. Medians of rounds; the time of a step is a process's median.
"""

import json
import statistics
import subprocess
import sys
from collections import defaultdict

import jax

from benchmarks.measuring import Result, command, medians, report, seconds
from benchmarks.train_step import whole
from configs import compact, quickstart
from configs.experiments import base
from inr_sr import models
from inr_sr.devices import keep_compiled_programs, keep_freed_memory
from inr_sr.reporting.tables import markdown

ROUNDS = 3
STEPS = 10
SYSTEMS = {
    "quickstart": quickstart.get_config,
    "compact": compact.get_config,
    "tokens of the experiments": base.repaired,
}
WAYS = ("left", "kept")


def trained(system: str, way: str) -> dict[str, float]:
    """What STEPS steps take in this process, after two that compile and fill the memory."""
    import resource  # not on Windows

    if way == "kept" and not keep_freed_memory():
        raise RuntimeError("the C library of this machine cannot keep memory")
    keep_compiled_programs()
    config = SYSTEMS[system]()
    config.train.steps_per_dispatch = 1
    work = whole(config, models.build(config.model))
    for _ in range(2):
        jax.block_until_ready(work())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times = [seconds(work) for _ in range(STEPS)]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "step_s": statistics.median(times),
        "faults": (usage.ru_minflt - before) / STEPS,
        "peak_bytes": 1024 * usage.ru_maxrss,  # Linux counts KiB
    }


def measure() -> Result:
    """All systems both ways."""
    found: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for system in SYSTEMS:
            for way in WAYS:
                line = [sys.executable, "-m", "benchmarks.kept_memory", "--trained", system, way]
                run = subprocess.run(line, capture_output=True, text=True, check=True)
                for name, value in json.loads(run.stdout).items():
                    found[system, way, name].append(value)
    median = medians(found)
    names = dict.fromkeys(name for *_, name in median)
    return {
        "rounds": ROUNDS,
        "steps": STEPS,
        "results": [
            {"system": system, "memory": way, **{n: median[system, way, n] for n in names}}
            for system in SYSTEMS
            for way in WAYS
        ],
    }


def table(result: Result) -> str:
    """The measurement in Markdown."""
    left = {row["system"]: row["step_s"] for row in result["results"] if row["memory"] == "left"}
    rows = [
        [
            row["system"],
            row["memory"],
            f"{1e3 * row['step_s']:.0f}",
            f"{row['step_s'] / left[row['system']]:.2f}",
            f"{row['faults']:.0f}",
            f"{row['peak_bytes'] / 2**30:.2f}",
        ]
        for row in result["results"]
    ]
    head = ["system", "memory", "ms a step", "of left", "page faults a step", "peak GiB"]
    return markdown(head, rows)


def main() -> None:
    """Prints the table; writes the numbers with --json."""
    parser = command(__doc__)
    parser.add_argument("--trained", nargs=2, metavar=("SYSTEM", "WAY"), help="a process of these")
    arguments = parser.parse_args()
    if arguments.trained:
        print(json.dumps(trained(*arguments.trained)))
    else:
        report(arguments, measure, table)


if __name__ == "__main__":
    main()
