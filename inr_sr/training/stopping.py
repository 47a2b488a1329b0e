"""How a training is asked to stop."""

import math
import os
import signal
import time
from types import FrameType
from typing import Any

from inr_sr.devices import any_host


class Interrupted(Exception):
    """Training was asked to stop, saved its state and did so."""


class StopRequest:
    """Turns the first Ctrl-C or SIGTERM into a question the loop asks between dispatches.

    So does the time: `deadline` is a reading of time.monotonic.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.asked = False
        self._deadline = deadline
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            # Not print: a handler may run in the middle of another one.
            os.write(2, b"\nstopping after this step; Ctrl-C again stops without saving\n")
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self) -> bool:
        """Whether any host was asked: all must stop at the same step."""
        return any_host(self.asked or time.monotonic() >= self._deadline)
