"""Super-resolution at any scale with implicit neural representations.

inr_sr.load("compact").upscale(Image.open("photo.jpg"), scale=3.7)

What is named here is imported when it is first used, so that `import inr_sr` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from inr_sr.errors import InputError

if TYPE_CHECKING:
    from inr_sr.upscaling import NetworkUpscaler, ResampleUpscaler, Upscaler, load, warp

    __version__: str

__all__ = [
    "InputError",
    "NetworkUpscaler",
    "ResampleUpscaler",
    "Upscaler",
    "__version__",
    "load",
    "warp",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("inr_sr")
        except PackageNotFoundError:  # run from a folder that was not installed
            return "not installed"
    if name in __all__:
        return getattr(import_module("inr_sr.upscaling"), name)
    raise AttributeError(f"module 'inr_sr' has no attribute {name!r}")
