"""Evaluation of a super-resolution run: validation during training, and the report at the end."""

import shlex
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr.data.sources import ArraySource, Source, source_name
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import check_sizes, evaluate, magnified_detail
from inr_sr.evaluation.metrics import MAX_DB
from inr_sr.evaluation.protocols import Protocol, make_pair
from inr_sr.evaluation.report import PANEL_IMAGES, write_report
from inr_sr.models import Model, Params
from inr_sr.reporting.progress import evaluation_bar
from inr_sr.resampling import resize_uint8
from inr_sr.sizes import parse_scales
from inr_sr.training.task import SCORE, Validated
from inr_sr.training.trained import WEIGHTS
from inr_sr.upscaling import NetworkUpscaler, ResampleUpscaler, load
from inr_sr.values import to_float32
from inr_sr.weights import load_weights

REPORT = "report"
BASELINES = ("nearest", "bicubic")
SHOWN = 128  # side of the HR window shown in TensorBoard


class Validation:
    """Evaluates parameters on a few images at a few scales; see `Task.validate`.

    Args:
      config: a full configuration.
      model: the model that is trained.
      source: the images of `eval.dataset`.
      protocol: that of `eval.protocol`.

    Raises:
      InputError: `eval.during` or the images cannot be used.
    """

    def __init__(self, config: ConfigDict, model: Model, source: Source, protocol: Protocol):
        self._model, self._protocol = model, protocol
        self._scales = parse_scales(config.eval.during)
        fixed = self._model.fixed_scale
        if fixed and any((s.rows, s.cols) != (fixed, fixed) for s in self._scales):
            raise InputError(f"eval.during {config.eval.during!r} must be {fixed} for this model")
        count = min(config.eval.images, len(source))
        if count < 1:
            raise InputError(f"eval.images {config.eval.images} must be at least 1")
        self._images = ArraySource([source[i] for i in range(count)])
        check_sizes(source, self._scales, self._protocol, count)
        self._dataset = config.eval.dataset

    def __call__(self, params: Params) -> Validated:
        """PSNR (dB) per scale, their mean as SCORE; one image: bicubic | network | truth."""
        upscaler = NetworkUpscaler(self._model, jax.tree.map(np.asarray, params), name="network")
        results = evaluate(
            [upscaler],
            self._images,
            self._scales,
            self._protocol,
            self._dataset,
        )
        # A flat image is matched exactly; JSON has no infinity.
        numbers = {
            f"{SCORE}_x{row.scale}": min(results.headline(row), MAX_DB) for row in results.rows
        }
        numbers[SCORE] = float(np.mean(list(numbers.values())))
        return numbers, {"bicubic_network_truth": self._panel(upscaler)}

    def _panel(self, upscaler: NetworkUpscaler) -> np.ndarray:
        """Bicubic, network and truth of one window, side by side, float32 [SHOWN, 3 * SHOWN, 3]."""
        lr, hr = make_pair(self._images[0], self._scales[-1], self._protocol.lr_kernel)
        size = hr.shape[:2]
        truth = to_float32(hr)
        bicubic = to_float32(resize_uint8(lr, size))
        network = upscaler.upscale(to_float32(lr), size)
        top, left = (max(0, (n - SHOWN) // 2) for n in size)
        window = (slice(top, top + SHOWN), slice(left, left + SHOWN))
        return np.concatenate([p[window] for p in (bicubic, network, truth)], axis=1)


def report_written(workdir: Path) -> bool:
    """Whether the report of a run and its weights exist."""
    # The report alone is not enough: eval.py may have written one of an unfinished run.
    return (workdir / WEIGHTS).is_file() and (workdir / REPORT).is_dir()


class Report:
    """The report at the end: the network and classical methods on all images, at `eval.scales`.

    Args:
      config: a full configuration.
      model: the model that is trained.
      source: the images of `eval.dataset`.
      protocol: that of `eval.protocol`.
    """

    def __init__(self, config: ConfigDict, model: Model, source: Source, protocol: Protocol):
        self._config, self._source, self._protocol = config, source, protocol
        self._fixed = model.fixed_scale
        self._scales = parse_scales(str(self._fixed) if self._fixed else config.eval.scales)

    def check(self, workdir: Path) -> None:
        """Checks before training that the report can be made.

        Raises:
          InputError: a workdir named like a baseline, or images that are damaged or too small.
        """
        if workdir.resolve().name in BASELINES:
            raise InputError(
                f"--workdir {workdir}: it names the network, which is compared with "
                f"{' and '.join(BASELINES)}; choose another name"
            )
        check_sizes(self._source, self._scales, self._protocol)
        for index in range(len(self._source)):  # decodes it: headers do not show damage
            self._source[index]

    def write(self, workdir: Path) -> None:
        """Evaluates the exported weights beside the classical methods and writes the page."""
        network = load(workdir / WEIGHTS)
        baselines = [ResampleUpscaler(name) for name in BASELINES]
        with evaluation_bar() as show:
            results = evaluate(
                [*baselines, network],
                self._source,
                self._scales,
                self._protocol,
                source_name(self._config.eval.dataset),
                panel_images=PANEL_IMAGES,
                progress=show,
            )
        facts = {"command": self._command(workdir), "parameters": f"{network.parameters:,}"}
        facts |= {name: str(value) for name, value in load_weights(workdir / WEIGHTS).facts.items()}
        far = None
        if self._fixed is None:
            far = magnified_detail([baselines[1], network], self._source[0], self._source.name(0))
        scale = f"×{self._fixed}" if self._fixed else "any scale"
        title = f"{network.name}: super-resolution at {scale}"
        write_report(workdir / REPORT, results, title=title, facts=facts, magnified=far)

    def _command(self, workdir: Path) -> str:
        """The command that makes the report again."""
        wanted = self._config.eval
        return shlex.join([
            "python", "eval.py", f"--workdir={workdir}", f"--data={wanted.dataset}",
            f"--split={wanted.split}", f"--protocol={self._protocol.name}",
            f"--scales={','.join(scale.label for scale in self._scales)}",
            f"--baselines={','.join(BASELINES)}", f"--report={workdir / REPORT}",
        ])  # fmt: skip
