"""The devices of all hosts: their mesh, values on it, compiled programs, memory."""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy.typing import ArrayLike

PyTree = Any
"""Containers of containers of arrays, as JAX takes them; typing cannot say it."""

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # M_... in glibc's malloc.h


def keep_compiled_programs() -> None:
    """Turns JAX's persistent compilation cache on, by default in the user's cache folder."""
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    default = os.path.join(base or os.path.expanduser("~/.cache"), "inr_sr", "jax")
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or default
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:  # run without a cache that cannot be written
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # By default only programs that compile for a second or more are kept: none of a small image
        # does (docs/startup.md).
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def keep_freed_memory() -> bool:
    """Makes the C library reuse freed memory instead of returning it, until the process ends.

    A compiled program allocates its temporaries again each time it runs. Large blocks come from
    the kernel and go back to it, so each training step on a CPU waits until the same pages are
    mapped and cleared again (docs/speed.md). Call it before JAX starts threads. It suits training
    runs, whose steps all need blocks of the same sizes; where sizes differ from one program to the
    next, the blocks that are kept may not fit and memory grows.

    Returns:
      Whether the C library can do it: glibc only. With others nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library of the process
        return False
    # One arena, as those of other threads give back what they free, whatever the threshold.
    settings = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0, _ARENA_MAX: 1}
    return all(mallopt(name, value) for name, value in settings.items())


def on_cpu() -> bool:
    """Whether JAX runs on the CPU."""
    return jax.default_backend() == "cpu"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the host or a device ran out of memory."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )


@contextmanager
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Raises MemoryError with `advice` where XLA reports that memory ran out inside the block."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(advice) from error


def any_host(flag: bool) -> bool:
    """Whether `flag` is True on any host. All hosts must call it at the same point."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def make_mesh() -> Mesh:
    """A mesh of all devices of all hosts, with one axis, "data"."""
    # Auto: under the default, Explicit, pixel shuffles and gathers of a sharded batch fail.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding that puts the whole value on every device."""
    return NamedSharding(mesh, P())


def sharded(mesh: Mesh) -> NamedSharding:
    """Sharding that splits the batch axis of [slice or step, batch, ...] over the devices."""
    return NamedSharding(mesh, P(None, "data"))


def place(tree: PyTree, sharding: NamedSharding) -> PyTree:
    """Puts host values on the devices; every host must hold the same, whole values."""

    def put(x: ArrayLike) -> jax.Array:
        value = np.asarray(x)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    return jax.tree.map(put, tree)
