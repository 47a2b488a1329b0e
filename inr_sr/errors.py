"""Errors that a user can mend, and how commands report them: one line on stderr, an exit code."""

import argparse
import sys
from typing import NoReturn

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130
"""Exit codes; docs/interfaces.md says what they mean."""


class InputError(ValueError):
    """A mistake in a request: the message names the bad value and what is allowed."""


class InUse(InputError):
    """What was asked for is in the hands of another process."""


EXPECTED = (InputError, MemoryError, OSError, KeyboardInterrupt)
"""What commands answer with `explain`, not with a stack trace."""


def explain(error: BaseException) -> tuple[int, str]:
    """Exit code and line for one of the `EXPECTED`."""
    match error:
        case InputError():
            return MISTAKE, f"error: {error}"
        case MemoryError():
            return FAILED, f"error: out of memory: {error}"
        case OSError():  # a name too long, a folder that may not be read
            return MISTAKE, f"error: {error.filename or 'file'}: {error.strerror or error}"
    return INTERRUPTED, "interrupted"


class Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        """Raises InputError where argparse would print its usage and exit."""
        raise InputError(f"{message} (see {self.prog} --help)")


def say(line: str) -> None:
    """A line on stderr."""
    print(line, file=sys.stderr, flush=True)
