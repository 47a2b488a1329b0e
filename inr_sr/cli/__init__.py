"""The command `inr-sr`.

Messages go to stderr, results to stdout: the path of each image written, or the JSON summary.
Exit codes are those of docs/interfaces.md. JAX is imported once the request is known to be right,
so that mistakes are answered at once.
"""

import argparse
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import inr_sr
from inr_sr.cli import diagnose, upscale
from inr_sr.cli.arguments import join_json
from inr_sr.errors import EXPECTED, Parser, explain, say


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
      argv: arguments without the program's name; by default those of the process.
    """
    try:
        with warnings.catch_warnings(), _terminable():
            warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
            arguments = _parse(sys.argv[1:] if argv is None else argv)
            return int(arguments.run(arguments))
    except EXPECTED as error:
        code, line = explain(error)
        say(line)
        return code


class _Version(argparse.Action):
    """argparse's own would look the version up at every start, which takes longer than parsing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"inr_sr {inr_sr.__version__}")
        parser.exit()


@contextmanager
def _terminable() -> Iterator[None]:
    """Makes SIGTERM end the command as Ctrl-C does, so that no half-written file stays."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers can be set in the main thread only
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(join_json(argv))
    behind = "output" in arguments and arguments.output is None
    if len(rest) == 1 and rest[0][:1] not in ("", "-") and behind:
        arguments.output = Path(rest.pop())  # OUT behind options, where argparse sees it no more
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="inr-sr", description="Super-resolution at any scale.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print it and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    upscale.add_command(commands)
    diagnose.add_command(commands)
    return parser
