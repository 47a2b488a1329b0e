"""The table of parameters that a training begins with."""

from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from inr_sr.training.optimizer import labels


def show_parameters(params: Any, adversary: Any | None) -> None:
    """Prints every parameter, its shape, size and part of the optimizer, on standard error.

    Of an adversary's parameters, which are no part of the network, the number is enough.
    """
    table = Table("parameter", "shape", "numbers", "optimizer", box=None)
    rows = jax.tree_util.tree_leaves_with_path(params)
    for (path, value), part in zip(rows, jax.tree.leaves(labels(params)), strict=True):
        name = "/".join(key.key for key in path)
        table.add_row(name, "x".join(map(str, value.shape)), f"{value.size:,}", part)
    table.add_section()
    table.add_row("all", "", f"{sum(value.size for _, value in rows):,}", "")
    if adversary is not None:
        size = sum(value.size for value in jax.tree.leaves(adversary))
        table.add_row("adversary, in training alone", "", f"{size:,}", "adversarial")
    Console(stderr=True).print(table)
