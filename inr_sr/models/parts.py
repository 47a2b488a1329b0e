"""For every encoder and decoder: shared config numbers, config checks, optimizer groups."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FieldReference

from inr_sr.errors import InputError

Params = Mapping[str, Any]
"""Parameters: nested dicts of float32 arrays, by the names of modules."""

Labels = Mapping[str, Any]
"""The optimizer group of each parameter: nested as they are, with a name of a group for each."""

Groups = tuple[tuple[str, str], ...]
"""Rules (group, regular expression); a parameter's group is that of the first rule that matches."""

FREQUENCIES, UNDECAYED, KERNELS = "frequencies", "undecayed", "kernels"
"""The groups: frequency matrices, parameters without weight decay, kernels with weight decay."""

LAYER_GROUPS: Groups = ((UNDECAYED, r"(bias|scale)$"), (KERNELS, r"kernel$"))
"""Rules for the parameters of flax's layers; modules add rules for parameters of their own."""


class Shared(NamedTuple):
    """References to fields of `config.data` that fields of the model follow.

    Attributes:
      max_scale: largest trained scale.
      patch: side of the training patches, LR pixels.
    """

    max_scale: FieldReference
    patch: FieldReference

    @classmethod
    def of(cls, max_scale: float = 4.0, patch: int = 32) -> "Shared":
        """References to these values, where there is no `config.data`."""
        return cls(FieldReference(max_scale), FieldReference(patch))


BAND_SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Highest frequencies of the default bands, cycles per output pixel of the largest scale."""


def bands_of(max_scale: FieldReference) -> FieldReference:
    """Default bands, max_scale * BAND_SHARES, in cycles per LR pixel.

    They follow max_scale until a configuration sets them. The highest is the output's Nyquist.
    """

    def bands(_: tuple[float, ...], scale: float) -> tuple[float, ...]:
        return tuple(scale * share for share in BAND_SHARES)

    return FieldReference((), tuple, op=_Operation(bands, [max_scale]))


class _Operation(NamedTuple):
    """A computed reference, as FieldReference expects it."""

    fn: Any
    args: list[Any]


def check_choice(field: str, value: object, allowed: Sequence[object]) -> None:
    """Raises InputError unless `value`, that of `field`, is one of the allowed ones."""
    if value not in allowed:
        raise InputError(f"{field} {value!r} must be one of {', '.join(map(str, allowed))}")


def check_minimums(section: str, config: ConfigDict, minimums: Mapping[str, int]) -> None:
    """Raises InputError where a field of a `model` section is below its minimum."""
    for name, minimum in minimums.items():
        if config[name] < minimum:
            raise InputError(f"model.{section}.{name} {config[name]} must be at least {minimum}")


def check_max_scale(section: str, scale: float) -> None:
    """Raises InputError unless a section's max_scale is finite and at least 1."""
    if not 1 <= scale < math.inf:
        raise InputError(f"model.{section}.max_scale {scale} must be finite and at least 1")


def all_positive(numbers: Sequence[object]) -> bool:
    """Whether all are finite numbers above 0."""
    return all(isinstance(n, (int, float)) and 0 < n < math.inf for n in numbers)


def group_of(name: str, groups: Groups) -> str:
    """The optimizer group of a parameter.

    Args:
      name: its path, such as "decoder/cos/kernel".
      groups: rules, in order.

    Raises:
      ValueError: no rule matches; a default would hide parameters of the wrong group.
    """
    for group, rule in groups:
        if re.search(rule, name):
            return group
    raise ValueError(f"no optimizer group holds parameter {name!r}")
