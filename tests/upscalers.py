"""Upscalers whose answers are known, and small images to evaluate them on."""

import jax.numpy as jnp
import numpy as np

from inr_sr.data.sources import ImageSource
from inr_sr.evaluation.evaluate import evaluate
from inr_sr.evaluation.protocols import (
    get_protocol,
)
from inr_sr.evaluation.results import Results
from inr_sr.resampling import resize, resize_uint8
from inr_sr.sizes import Scale, parse_scales


class Kernel:
    """An upscaler that is one resampling kernel, and keeps the sizes of its calls."""

    def __init__(self, method: str = "bicubic", name: str | None = None):
        self.method = method
        self.name = name or method
        self.calls: list[tuple[int, ...]] = []

    def upscale(self, image: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
        self.calls.append((*image.shape[:2], *out_size))
        return np.clip(np.asarray(resize(jnp.asarray(image), out_size, self.method)), 0, 1)


class Compiled(Kernel):
    """Compiles once for each shape."""

    parameters = 1234

    @property
    def programs(self) -> int:
        return len(set(self.calls))


class Constant:
    """An upscaler that knows the answer, or a wrong one."""

    def __init__(self, answer: np.ndarray, name: str = "constant"):
        self.answer = answer
        self.name = name

    def upscale(self, image: np.ndarray, out_size: tuple[int, int]) -> np.ndarray:
        return self.answer


class Images(ImageSource):
    """A source of named arrays; it may be empty."""

    def __init__(self, **images: np.ndarray):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return list(self.images.values())[index]

    def _size(self, index: int, level: int) -> tuple[int, int]:
        rows, cols, _ = self[index].shape
        return rows, cols

    def name(self, index: int) -> str:
        return list(self.images)[index]


def smooth_image(rows: int = 60, cols: int = 48, seed: int = 0) -> np.ndarray:
    """A smooth image, so that scores are of the order of real ones."""
    coarse = np.random.default_rng(seed).integers(0, 256, (rows // 6, cols // 6, 3))
    return resize_uint8(coarse.astype(np.uint8), (rows, cols))


def scale(label: str) -> Scale:
    (only,) = parse_scales(label)
    return only


def run(upscalers, source=None, scales="2", protocol="y", **options) -> Results:
    source = Images(one=smooth_image()) if source is None else source
    return evaluate(
        upscalers, source, parse_scales(scales), get_protocol(protocol), "made", **options
    )
