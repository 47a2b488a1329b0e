"""Work and memory, counted: multiply-adds by formula, operations by XLA, resident memory."""

from collections.abc import Mapping
from typing import Any

import jax
from flax.traverse_util import flatten_dict

from benchmarks.measuring import Name, Work
from inr_sr.models import Params
from inr_sr.reporting.machine import peak_memory, reset_peak_memory


def lattice_macs(params: Params) -> int:
    """Multiply-adds per LR pixel of layers that run once there: the sizes of their kernels."""
    leaves = flatten_dict(params).items()
    return sum(int(leaf.size) for path, leaf in leaves if path[-1] == "kernel")


def waves_macs(count: int) -> int:
    """Per query of the spectral field: phases, response, and three colours of two sums."""
    return (2 + 2 + 2 * 3) * count


def liif_macs(first: int = 4) -> int:
    """Per query of an MLP of 4 x 256 at four corners; its first layer has `first` inputs."""
    return 4 * (first * 256 + 3 * 256**2 + 256 * 3)


PUBLISHED_LIIF_INPUTS = 9 * 64 + 4
"""Inputs of its first layer as published: 3 x 3 features, offset, size."""


def operations(lowered: jax.stages.Lowered) -> float:
    """What XLA counts in a lowered program, additions and multiplications each."""
    costs: Any = lowered.cost_analysis()  # of a form that JAX does not promise
    return float(costs["flops"])


def growth(works: Mapping[Name, Work]) -> dict[Name, int | None]:
    """Bytes by which resident memory grows in a run of each; None without Linux's counters.

    What earlier work left with the allocator may serve a run, too: runs take this much or more.
    """
    grown: dict[Name, int | None] = {}
    for key, work in works.items():
        counted = reset_peak_memory()
        before = peak_memory()
        jax.block_until_ready(work())
        after = peak_memory()
        grown[key] = int(max(0, after - before) * 2**20) if counted and before and after else None
    return grown
