"""What all commands with a parser of arguments share: mistakes in one line, messages on stderr."""

import argparse
import sys
from typing import NoReturn

from inr_sr.errors import InputError


class Parser(argparse.ArgumentParser):
    """Reports mistakes in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        """Raises InputError where argparse would print its usage and exit."""
        raise InputError(f"{message} (see {self.prog} --help)")


def say(line: str) -> None:
    """A line on stderr."""
    print(line, file=sys.stderr, flush=True)
