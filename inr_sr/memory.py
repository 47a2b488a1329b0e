"""The memory of this process, as the C library hands it out."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # M_... in glibc's malloc.h


def keep_freed_memory() -> bool:
    """Keeps the memory that is freed for what is allocated next, until the process ends.

    A compiled program allocates its temporaries anew each time it runs. Large blocks come from the
    kernel and go back to it, so each step of a training on a processor waits until the same pages
    are mapped and cleared again (docs/speed.md). Call it before JAX starts threads. Where sizes
    differ from run to run, what is kept may not fit what is asked for next: it is for trainings,
    not for enlarging pictures of any size in bounded memory.

    Returns:
      Whether the C library can: glibc. Others are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library of the process
        return False
    # One arena, as those of other threads give back what they free, whatever the threshold.
    settings = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0, _ARENA_MAX: 1}
    return all(mallopt(name, value) for name, value in settings.items())
