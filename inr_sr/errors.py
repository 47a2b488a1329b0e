"""Errors that a user can mend, and how commands report them: one line on stderr, an exit code."""

import argparse
import sys
from typing import NoReturn

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130
"""Exit codes; docs/interfaces.md says what they mean."""


class InputError(ValueError):
    """A mistake by the user. The message names the bad value and what is allowed."""


class InUse(InputError):
    """A folder that another process has locked."""


EXPECTED = (InputError, MemoryError, OSError, KeyboardInterrupt)
"""Errors that commands report with `explain`; any other one is a bug and shows its stack trace."""


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code and the line to print for one of the `EXPECTED` errors."""
    match error:
        case InputError():
            return MISTAKE, f"error: {error}"
        case MemoryError():
            return FAILED, f"error: out of memory: {error}"
        case OSError():  # a name too long, a folder that may not be read
            return MISTAKE, f"error: {error.filename or 'file'}: {error.strerror or error}"
    return INTERRUPTED, "interrupted"


class Parser(argparse.ArgumentParser):
    """Parses arguments; mistakes are InputErrors, not argparse's usage text."""

    def error(self, message: str) -> NoReturn:
        """Raises InputError with argparse's message."""
        raise InputError(f"{message} (see {self.prog} --help)")


def say(line: str) -> None:
    """Prints a line on stderr."""
    print(line, file=sys.stderr, flush=True)
