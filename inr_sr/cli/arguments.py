"""Types of the command line's arguments: text to value, or a message that says what is allowed."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from inr_sr.errors import InputError
from inr_sr.sizes import parse_scale

Value = TypeVar("Value")


def join_json(argv: Sequence[str]) -> list[str]:
    """`--json` alone means `--json=-`: it takes the next argument only if that is `-` or .json."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1] == "--json":
            takes = argument == "-" or argument.lower().endswith(".json")
            joined[-1] = f"--json={argument}" if takes else "--json=-"
            if takes:
                continue
        joined.append(argument)
    return ["--json=-" if argument == "--json" else argument for argument in joined]


def path(text: str) -> Path:
    """A file or folder; not "", which a shell makes of an unset variable and would mean "."."""
    return _allowed(text, Path(text), text != "", "the path of an image or folder")


def scale(text: str) -> tuple[float, float]:
    """A scale, or one for rows and one for columns."""
    try:
        return parse_scale(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def count(text: str) -> int:
    """A number of pixels."""
    allowed = bool(re.fullmatch(r"0*[1-9][0-9]{0,9}", text))
    return _allowed(text, int(text) if allowed else 0, allowed, "a whole number of pixels above 0")


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT, as (rows, cols)."""
    match = re.fullmatch(r"0*([1-9][0-9]{0,9})[xX]0*([1-9][0-9]{0,9})", text)
    rows, cols = (int(match[2]), int(match[1])) if match else (0, 0)
    return _allowed(text, (rows, cols), match is not None, "WxH in pixels, such as 1920x1080")


def tile(text: str) -> int | str:
    """The longest side of a tile, "auto", or 0 for none."""
    number = bool(re.fullmatch("[0-9]{1,6}", text))
    allowed = number or text == "auto"
    return _allowed(text, int(text) if number else text, allowed, "auto, 0 or a number of pixels")


def _allowed(text: str, value: Value, allowed: bool, expected: str) -> Value:
    if not allowed:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; expected {expected}")
    return value
