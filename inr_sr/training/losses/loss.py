"""What a loss is: a function, how many pixels it needs, and what it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from ml_collections import ConfigDict

from inr_sr.data.samples import Sampling
from inr_sr.errors import InputError

Term = Callable[[jax.Array, jax.Array], jax.Array]
"""(prediction, target), [B, Q, 3] each, to a scalar."""


@dataclass(frozen=True)
class Loss:
    """A term of the reconstruction loss.

    Attributes:
      function: of (prediction, target), [B, Q, 3] each.
      min_side: least side in pixels of the squares that it compares whole; None: any points do.
      weight: its default weight.
    """

    function: Term
    min_side: int | None = None
    weight: float = 0.0

    def default_config(self) -> ConfigDict | None:
        """Its section of the configuration beside the weight, if it has one."""
        return None

    def check(self, name: str, config: ConfigDict, spec: Sampling) -> None:
        """Raises InputError where the configuration or the samples do not do; opens no file."""
        if self.min_side is None:
            return
        if spec.layout != "square":
            raise InputError(
                f"loss.{name} needs data.layout = 'square', not {spec.layout!r}: it compares whole "
                "squares"
            )
        if spec.queries < self.min_side**2:
            raise InputError(
                f"loss.{name} needs data.queries of at least {self.min_side**2}, "
                f"{self.min_side} pixels a side, not {spec.queries}"
            )

    def load(self, config: ConfigDict) -> Any | None:
        """Weights that it reads from a file, as a pytree that is called in place of `function`."""
        return None
