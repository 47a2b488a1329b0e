"""The machine that runs this process, and the memory it used."""

import os
import platform
import re
import sys
from pathlib import Path

import jax


def describe_machine() -> dict[str, str]:
    """The processor, the cores this process may use, the devices of JAX, and versions."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0]
    kind = "CPU" if device.platform == "cpu" else device.device_kind
    return {
        "processor": _processor(),
        "cores": str(usable),
        "jax devices": f"{jax.device_count()} × {kind}",
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def describe_hardware() -> str:
    """Devices, cores and processor of `describe_machine`, in one line."""
    machine = describe_machine()
    cores = "1 core" if machine["cores"] == "1" else f"{machine['cores']} cores"
    return f"{machine['jax devices']}, {cores}, {machine['processor']}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def reset_peak_memory() -> bool:
    """Lowers the high-water mark of resident memory to what is resident now.

    Returns:
      Whether that can be done here; else the mark covers the process so far.
    """
    if sys.platform != "linux":
        return False
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:  # a sandbox without it
        return False
    return True


def peak_memory() -> float | None:
    """The high-water mark of this process's resident memory in MiB; None on Windows."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent process held at the fork
        mark = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        return int(mark[1]) / 2**10 if mark else None
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
