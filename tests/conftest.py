"""What every test runs under: the CPU, strict dtypes and ranks, a compile cache of its own.

Programs are compiled in half the time, to slower ones: tests run them once or twice.

All of it goes through the environment and comes before JAX is imported, so that the programs which
tests start run under it too. `INR_SR_TEST_DEVICES=8 pytest` makes eight devices of the CPU.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_DEVICES = int(os.environ.get("INR_SR_TEST_DEVICES", "1"))
_CACHE = tempfile.mkdtemp(prefix="inr_sr_tests_")

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE
_FLAGS = ["--xla_backend_optimization_level=0"]
if _DEVICES > 1:
    _FLAGS.append(f"--xla_force_host_platform_device_count={_DEVICES}")
os.environ["XLA_FLAGS"] = " ".join([*_FLAGS, os.environ.get("XLA_FLAGS", "")]).strip()

import jax

# Equal programs of several tests are compiled once, also those that compile in no time.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def pytest_report_header() -> str:
    return f"jax {jax.__version__}, {jax.default_backend()} devices: {jax.device_count()}"


def pytest_unconfigure() -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the images and MATLAB files that are not part of the project.

    It is INR_SR_SHARED where that is set, else `../shared/data` beside the project.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("INR_SR_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}: set INR_SR_SHARED to a folder that holds them")
    return folder
