"""The quick evaluation while training: a few pictures, a few scales, one score."""

from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.sources import ArraySource, Source
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import check_sizes, evaluate
from inr_sr.evaluation.metrics import MAX_DB
from inr_sr.evaluation.protocols import get_protocol, make_pair
from inr_sr.resampling import resize_uint8
from inr_sr.sizes import parse_scales
from inr_sr.training.checkpoints import SCORE
from inr_sr.upscaling import NetworkUpscaler
from inr_sr.values import to_float32

SHOWN = 128  # side of the HR window shown in TensorBoard


class Validation:
    """Calls with parameters give the journal's numbers and pictures.

    Raises:
      InputError: `eval.during`, `eval.protocol` or the pictures cannot be used.
    """

    def __init__(self, config: ConfigDict, source: Source):
        self._model = models.build(config.model)
        self._protocol = get_protocol(config.eval.protocol)
        self._scales = parse_scales(config.eval.during)
        fixed = self._model.fixed_scale
        if fixed and any((s.rows, s.cols) != (fixed, fixed) for s in self._scales):
            raise InputError(f"eval.during {config.eval.during!r} must be {fixed} for this model")
        count = min(config.eval.pictures, len(source))
        if count < 1:
            raise InputError(f"eval.pictures {config.eval.pictures} must be at least 1")
        self._pictures = ArraySource([source[i] for i in range(count)])
        check_sizes(source, self._scales, self._protocol, count)
        self._dataset = config.eval.dataset

    def __call__(self, params: Any) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Mean PSNR per scale, their mean as SCORE; one picture: bicubic | network | truth."""
        upscaler = NetworkUpscaler(self._model, jax.tree.map(np.asarray, params), name="network")
        results = evaluate(
            [upscaler],
            self._pictures,
            self._scales,
            self._protocol,
            self._dataset,
        )
        # A flat picture is matched exactly; JSON has no infinity.
        numbers = {
            f"{SCORE}_x{row.scale}": min(results.headline(row), MAX_DB) for row in results.rows
        }
        numbers[SCORE] = float(np.mean(list(numbers.values())))
        return numbers, {"bicubic_network_truth": self._panel(upscaler)}

    def _panel(self, upscaler: NetworkUpscaler) -> np.ndarray:
        """Float [SHOWN, 3 * SHOWN, 3]: the same window three times."""
        lr, hr = make_pair(self._pictures[0], self._scales[-1], self._protocol.lr_kernel)
        size = hr.shape[:2]
        truth = to_float32(hr)
        bicubic = to_float32(resize_uint8(lr, size))
        network = upscaler.upscale(to_float32(lr), size)
        top, left = (max(0, (n - SHOWN) // 2) for n in size)
        window = (slice(top, top + SHOWN), slice(left, left + SHOWN))
        return np.concatenate([p[window] for p in (bicubic, network, truth)], axis=1)
