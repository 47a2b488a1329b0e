"""Runs a program and records the calls between modules of our own, until something is reached.

    python -m tests.calls OUT.json step train.py --config=... --workdir=...
    python -m tests.calls OUT.json strip inr-sr upscale ...

It stops the program there, and writes {"stack": files of our own on the stack, innermost last,
"calls": [caller, callee, function, count]}. A call is counted for the innermost frame of our own
below it, whatever lies between; so is resuming a generator, and calling back what was passed down.
"""

import json
import os
import runpy
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, PROGRAM = f"{ROOT / 'inr_sr'}{os.sep}", str(ROOT / "train.py")
REACHED = {
    # The program of the first step is compiled and run by this function, one step at a time.
    "step": ("call", "inr_sr.training.step", "_one_by_one.<locals>.advance"),
    "strip": ("return", "inr_sr.upscaling.encoded", "EncodedImage._strip"),
}


def own_module(frame: FrameType | None) -> str | None:
    """The module of a frame of our own; None of one of others, and of a module being imported."""
    if frame is None or frame.f_code.co_name == "<module>":
        return None
    path = frame.f_code.co_filename
    if path.startswith(PACKAGE) or path == PROGRAM:
        return str(frame.f_globals["__name__"])
    return None


class Recorder:
    """A profile function, see `sys.setprofile`."""

    def __init__(self, out: Path, until: str):
        self._out, self._until = out, REACHED[until]
        self._calls: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return") or (callee := own_module(frame)) is None:
            return
        name = frame.f_code.co_qualname
        if event == "call":
            outer = frame.f_back
            while outer is not None and own_module(outer) is None:
                outer = outer.f_back
            self._calls[own_module(outer) or "", callee, name] += 1
        if (event, callee, name) == self._until:
            sys.setprofile(None)
            self._write(frame)

    def _write(self, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(PACKAGE) or path == PROGRAM:
                stack.append(str(Path(path).relative_to(ROOT)))
            frame = frame.f_back
        calls = [[*key, count] for key, count in sorted(self._calls.items())]
        self._out.write_text(json.dumps({"stack": stack[::-1], "calls": calls}))
        os._exit(0)


def main() -> None:
    out, until, program, *arguments = sys.argv[1:]
    sys.argv = [program, *arguments]
    if program == "inr-sr":
        from inr_sr.cli import main as command

        sys.setprofile(Recorder(Path(out), until))
        command()
    else:
        sys.setprofile(Recorder(Path(out), until))
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
