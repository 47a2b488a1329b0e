"""What may go wrong that is no fault of the program, and what commands make of it."""

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
