"""The command `inr-sr`.

Exit codes: 0 all done, 1 some pictures failed, 2 a mistake in the request, 130 interrupted.
Messages go to stderr, results to stdout: the path of each picture written, or the JSON summary.
JAX is imported once the request is known to be right, so that mistakes are answered at once.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from inr_sr.cli import upscale
from inr_sr.cli.arguments import join_json
from inr_sr.cli.output import say
from inr_sr.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
      argv: arguments without the program's name; by default those of the process.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
            arguments = _parser().parse_args(join_json(sys.argv[1:] if argv is None else argv))
            return int(arguments.run(arguments))
    except InputError as error:
        say(f"error: {error}")
        return 2
    except MemoryError as error:
        say(f"error: out of memory: {error}")
        return 1
    except OSError as error:  # a name too long, a folder that may not be read
        say(f"error: {error.filename or 'output'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return 130


class _Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="inr-sr", description="Super-resolution at any scale.")
    upscale.add_command(parser.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    return parser
