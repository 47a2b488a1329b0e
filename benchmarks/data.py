"""How fast training data come, and whether training waits for them.

    python -m benchmarks.data [--json FILE]

The network and batch of configs/compact.py on the embedded images. `crops` are drawn with
nothing else going on, all candidates of a sample. `made` is the training step on crops that lie on
the device already, `live` the step as training runs it, crops drawn on the device or streamed by
the host's threads. What live takes longer than made is time spent waiting for data, or sharing the
processor with it. Medians of rounds that take turns.
"""

import statistics
from typing import Any

import jax

from benchmarks.measuring import Result, command, medians, report, rounds
from benchmarks.train_step import fresh_state
from configs.compact import get_config
from inr_sr.data.crops import ResidentSet
from inr_sr.data.loaders import ResidentLoader, StreamingLoader
from inr_sr.devices import make_mesh
from inr_sr.reporting.tables import markdown
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.step import make_advance
from inr_sr.training.tasks.super_resolution import SuperResolution

ROUNDS = 15
STEPS = 2  # per dispatch
DRAWS = 20  # batches drawn in a round


class Bench:
    """The training run of compact, ready to be timed in parts."""

    def __init__(self) -> None:
        config = get_config()
        config.train.steps_per_dispatch = STEPS
        self.batch = config.train.batch_size
        task, mesh = SuperResolution(config), make_mesh()
        spec = task.specs[0]
        optimizer = make_optimizer(config.optimizer, config.train.steps, task.labels)
        self._advance = make_advance(config, task, optimizer, mesh)
        self._state = fresh_state(config, task.model)
        self._resident = ResidentLoader(task.source, spec, mesh)
        self._stream = StreamingLoader(config, task.source, spec, mesh, step=0)
        self._made = self._stream.take(STEPS)
        self._draw = jax.jit(ResidentSet.draw)
        self._keys = jax.random.split(jax.random.key(0), self.batch * spec.candidates)

    def draw(self) -> jax.Array:
        """DRAWS batches of crops, on the device."""
        for _ in range(DRAWS):
            crops: jax.Array = self._draw(self._resident.take(1), self._keys)
        return crops

    def stream(self) -> jax.Array:
        """DRAWS batches of crops, by the host and onto the device."""
        for _ in range(DRAWS // STEPS):
            crops = self._stream.take(STEPS)
        return crops

    def step_made(self) -> Any:
        """STEPS training steps on crops made in advance."""
        return self._step(self._made)

    def step_resident(self) -> Any:
        """STEPS training steps that draw their crops."""
        return self._step(self._resident.take(STEPS))

    def step_streaming(self) -> Any:
        """STEPS training steps on the next crops of the stream."""
        return self._step(self._stream.take(STEPS))

    def _step(self, data: Any) -> Any:
        self._state, metrics = self._advance(self._state, data, STEPS)
        return metrics


def measure() -> Result:
    """Samples per second of everything, and the share of live steps spent waiting."""
    bench = Bench()
    parts = {
        bench.draw: DRAWS,
        bench.stream: DRAWS,
        bench.step_made: STEPS,
        bench.step_resident: STEPS,
        bench.step_streaming: STEPS,
    }
    totals = rounds({part.__name__: part for part in parts}, ROUNDS)
    times = {p.__name__: [t / count for t in totals[p.__name__]] for p, count in parts.items()}
    median = medians(times)
    made = times["step_made"]
    rows = [
        {
            "mode": mode,
            "crops": bench.batch / median[alone],
            "made": bench.batch / median["step_made"],
            "live": bench.batch / median[live],
            # Round by round, so that a machine that is busy now and then spoils it less.
            "waiting": statistics.median(1 - m / v for m, v in zip(made, times[live])),
        }
        for mode, alone, live in (
            ("resident", "draw", "step_resident"),
            ("streaming", "stream", "step_streaming"),
        )
    ]
    return {"batch": bench.batch, "rounds": ROUNDS, "rows": rows}


def table(result: Result) -> str:
    """The measurement in Markdown."""
    head = ["samples/s", "crops alone", "step, crops made", "step, live", "crops : step", "waiting"]
    rows = [
        [
            row["mode"],
            f"{row['crops']:.0f}",
            f"{row['made']:.1f}",
            f"{row['live']:.1f}",
            f"{row['crops'] / row['made']:.0f} : 1",
            f"{100 * row['waiting']:.1f} %",
        ]
        for row in result["rows"]
    ]
    return markdown(head, rows)


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
