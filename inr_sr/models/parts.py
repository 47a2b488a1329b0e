"""What encoders and decoders have in common: numbers they share, checks, optimizer groups."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FieldReference

from inr_sr.errors import InputError

Params = Mapping[str, Any]
"""Parameters: nested dicts of float32 arrays, by the names of modules."""

Groups = tuple[tuple[str, str], ...]
"""Optimizer groups and the parameters in them: (group, regular expression of names)."""

FREQUENCIES, UNDECAYED, KERNELS = "frequencies", "undecayed", "kernels"
"""The groups: frequency matrices, what weight decay spares, and what it does not."""

LAYERS: Groups = ((UNDECAYED, r"(bias|scale)$"), (KERNELS, r"kernel$"))
"""Of flax's layers; modules add the parameters that they make themselves."""


class Shared(NamedTuple):
    """References to numbers that are set in `config.data` and that parts of the model follow.

    Attributes:
      max_scale: largest trained scale.
      patch: side of the LR patches that are trained on, LR pixels.
    """

    max_scale: FieldReference
    patch: FieldReference

    @classmethod
    def of(cls, max_scale: float = 4.0, patch: int = 32) -> "Shared":
        """References of their own, where there is no `config.data`."""
        return cls(FieldReference(max_scale), FieldReference(patch))


class _Operation(NamedTuple):
    """A computed reference, in the form that FieldReference takes."""

    fn: Any
    args: list[Any]


BAND_SHARES = (1 / 8, 1 / 4, 1 / 2)


def bands_of(max_scale: FieldReference) -> FieldReference:
    """Bands that follow the largest scale: its output's Nyquist frequency, a half and a quarter.

    They are max_scale times BAND_SHARES, in cycles per LR pixel, until a configuration sets them.
    """

    def bands(_: tuple[float, ...], scale: float) -> tuple[float, ...]:
        return tuple(scale * share for share in BAND_SHARES)

    return FieldReference((), tuple, op=_Operation(bands, [max_scale]))


def check_name(field: str, name: Any, allowed: Sequence[Any]) -> None:
    """Raises InputError unless a name is one of those allowed."""
    if name not in allowed:
        raise InputError(f"unknown {field} {name!r}; there are: {', '.join(map(str, allowed))}")


def check_minimums(section: str, config: ConfigDict, minimums: Mapping[str, int]) -> None:
    """Raises InputError where a field of a section is below its minimum."""
    for name, minimum in minimums.items():
        if config[name] < minimum:
            raise InputError(f"model.{section}.{name} {config[name]} must be at least {minimum}")


def check_max_scale(section: str, scale: float) -> None:
    """Raises InputError for a largest scale that cannot be."""
    if not 1 <= scale < math.inf:
        raise InputError(f"model.{section}.max_scale {scale} must be finite and at least 1")


def all_positive(numbers: Sequence[Any]) -> bool:
    """Whether all are finite numbers above 0."""
    return all(isinstance(n, (int, float)) and 0 < n < math.inf for n in numbers)


def group_of(name: str, groups: Groups) -> str:
    """The optimizer group of a parameter; the first rule that matches its path.

    Raises:
      ValueError: no rule matches, so that no parameter changes groups unseen.
    """
    for group, rule in groups:
        if re.search(rule, name):
            return group
    raise ValueError(f"no optimizer group holds parameter {name!r}")
