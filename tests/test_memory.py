"""Memory that a process keeps."""

import ctypes
import json
import platform
import subprocess
import sys

import pytest

from inr_sr.devices import keep_freed_memory

# Page faults of a thread that fills 64 MB, frees them and fills as many again, each time.
_THREAD = """
import json, resource, sys, threading
import numpy as np
from inr_sr.devices import keep_freed_memory
kept = sys.argv[1:] == ["kept"] and keep_freed_memory()
faults = []
def fill():
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(16_000_000, np.float32)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=fill)
thread.start()
thread.join()
print(json.dumps([kept, faults]))
"""


def faults(*arguments):
    # In a process of its own: what is kept is kept to its end.
    line = [sys.executable, "-c", _THREAD, *arguments]
    run = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_is_freed_is_there_for_the_next():
    _, (first, *again) = faults()
    assert min(again) > first / 2  # mapped again each time
    kept, (first, *again) = faults("kept")
    assert kept
    assert max(again) < first / 10


def test_other_c_libraries_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False
