"""Trains a model.

    python train.py --config=configs/quickstart.py --workdir=runs/quickstart

Any field of the configuration can be set:  --config.train.steps=5000. Run the same command again
to go on after an interruption.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from inr_sr import program
from inr_sr.devices import keep_compiled_programs, keep_freed_memory
from inr_sr.errors import FAILED, INTERRUPTED, InputError

CONFIG = config_flags.DEFINE_config_file("config", help_string="A file in configs/.")
WORKDIR = flags.DEFINE_string("workdir", None, "Work folder of this training run.")
program.define_host_flags()


def main() -> int:
    """Trains, or resumes; returns the exit code."""
    if CONFIG.value is None or not WORKDIR.value:
        raise InputError("--config=FILE and --workdir=FOLDER are needed")
    if CONFIG.value.data.mode == "resident":  # streaming threads read images of many sizes at once
        keep_freed_memory()
    program.join_hosts()
    keep_compiled_programs()
    from inr_sr.training.loop import Interrupted, NotFinite, run
    from inr_sr.training.tasks.super_resolution import SuperResolution
    from inr_sr.training.validation import REPORT

    workdir = Path(WORKDIR.value)
    try:
        task = SuperResolution.evaluated(CONFIG.value, workdir)
        run(task, CONFIG.value, workdir)
    except Interrupted as stop:
        print(f"{stop}; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except NotFinite as stop:
        print(f"error: {stop}", file=sys.stderr)
        return FAILED
    print(f"done: {workdir / REPORT / 'index.html'}")
    return 0


if __name__ == "__main__":
    with program.command_line():
        sys.exit(main())
