"""What an experiment found: its arms beside each other, as numbers with intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import inr_sr
from inr_sr.data.sources import source_name
from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.reporting.tables import json_text
from inr_sr.studies.experiments.experiment import Experiment
from inr_sr.studies.experiments.runs import Run
from inr_sr.studies.experiments.scoring import PROTOCOL, Entry, HeldOut, scores

RESULTS = "results.json"
FINISHED = "runs.jsonl"

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean difference and its percentile interval of LEVEL, in the unit of the data.

    Attributes:
      mean, low, high: the difference and the ends of the interval.
      seeds: number of seeds; with one, the interval is over photos alone.
    """

    mean: float
    low: float
    high: float
    seeds: int


def paired_bootstrap(differences: np.ndarray, photos: Sequence[str]) -> Interval:
    """The mean of paired differences and its interval over other seeds and photos.

    Seeds and photos are drawn with replacement, independently of each other, as every seed is
    scored on every photo; a photo comes with all its crops (the pigeonhole bootstrap, Owen 2007,
    arXiv:0712.1111). Few seeds or photos make the interval too narrow: with 24 simulated photos,
    intervals of 95 % hold the true mean in 88 to 98 % of cases with ten seeds, and in 78 to 97 %
    with three; the more of the variation is between seeds, the less (tests/test_statistics.py).

    Args:
      differences: [seeds, crops], one method minus another on the same seed and crop.
      photos: the photo of each crop, [crops].

    Returns:
      The mean over all and the percentiles; the same input gives the same interval.

    Raises:
      ValueError: no differences, or not one photo for each crop.
    """
    if differences.ndim != 2 or differences.size == 0 or differences.shape[1] != len(photos):
        raise ValueError(f"differences {differences.shape} of {len(photos)} crops")
    _, photo = np.unique(np.asarray(photos), return_inverse=True)
    crops = np.bincount(photo)
    sums = np.stack([np.bincount(photo, row) for row in differences.astype(np.float64)])
    seeds, count = sums.shape
    rng = np.random.default_rng(0)
    # How often each is drawn, [RESAMPLES, seeds] and [RESAMPLES, photos].
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    of_photos = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    totals = np.sum((of_seeds @ sums) * of_photos, axis=1)
    means = totals / (seeds * (of_photos @ crops))
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(differences.mean()), float(low), float(high), seeds)


Scored = Mapping[tuple[str, int], Mapping[str, Entry]]
"""`scoring.scores` of finished runs, by arm and seed."""


@dataclass(frozen=True)
class Spectrum:
    """By frequency in cycles per LR pixel: power over the truth's, and coherence with the truth."""

    frequency: tuple[float, ...]
    power: tuple[float, ...]
    coherence: tuple[float, ...]


@dataclass(frozen=True)
class Quality:
    """A method at one scale: dB; energy and coherence beyond the LR Nyquist (`Spectra`)."""

    psnr_y: float
    ssim: float
    lr_psnr: float
    energy_ratio: float
    mean_coherence: float
    spectrum: Spectrum


@dataclass(frozen=True)
class Arm:
    """An arm as far as it is trained. Keys of mappings are labels of scales, or seeds.

    Attributes:
      name: as in the experiment.
      control: whether it is a negative control.
      seeds, missing: the finished ones, and those still to be trained.
      failures: seed to reason, of runs whose loss was not finite.
      encoder, decoder: parameter counts; 0 before any run has begun.
      minutes: mean time of a finished run.
      gains: PSNR (luma) above bicubic in dB, means over the crops, one for each of `seeds`.
      against: the arm that it is compared with, or "".
      differences: of the gain to that of `against`, over the seeds that both have.
      quality: means over seeds.
    """

    name: str
    control: bool
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    failures: Mapping[int, str]
    encoder: int
    decoder: int
    minutes: float
    gains: Mapping[str, tuple[float, ...]]
    against: str
    differences: Mapping[str, Interval]
    quality: Mapping[str, Quality]


@dataclass(frozen=True)
class Comparison:
    """The arms of an experiment, and the data and hardware behind them.

    Attributes:
      name: of the experiment.
      experiment: the experiment.
      arms: in its order.
      bicubic: the baseline, by label of the scale.
      crops: number of crops by label of the scale.
      too_small: names of the photos that were left out, by label of the scale; scales without any
        are absent.
      trained_on, tested_on: names of the images.
      photos: number of photos to test on.
      steps: all lengths of runs.
      hardware: all that was trained on.
    """

    name: str
    experiment: Experiment
    arms: tuple[Arm, ...]
    bicubic: Mapping[str, Quality]
    crops: Mapping[str, int]
    too_small: Mapping[str, Sequence[str]]
    trained_on: tuple[str, ...]
    tested_on: str
    photos: int
    steps: tuple[int, ...]
    hardware: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """The content of results.json."""
        return {
            "name": self.name,
            "question": self.experiment.question,
            "prediction": self.experiment.prediction,
            "reference": self.experiment.reference,
            "scales": [scale.label for scale in self.experiment.parsed_scales],
            "lr_size": self.experiment.lr_size,
            "protocol": asdict(PROTOCOL),
            "arms": [asdict(arm) for arm in self.arms],
            "bicubic": {label: asdict(quality) for label, quality in self.bicubic.items()},
            "crops": dict(self.crops),
            "too_small": dict(self.too_small),
            "trained_on": self.trained_on,
            "tested_on": self.tested_on,
            "photos": self.photos,
            "steps": self.steps,
            "hardware": self.hardware,
            "version": inr_sr.__version__,
        }


def compared(name: str, experiment: Experiment, runs: Sequence[Run], photos: HeldOut) -> Comparison:
    """Compares the finished runs of an experiment; those not scored yet are scored.

    Raises:
      InputError: a run or its scores cannot be read.
    """
    scales = experiment.parsed_scales
    scored = {
        (run.arm, run.seed): scores(run, photos, scales, experiment.lr_size)
        for run in runs
        if run.finished
    }
    baseline = {
        label: entry for found in scored.values() for label, entry in found.items()
    }  # the same in all of them
    crops = {scale.label: photos.crops(scale, experiment.lr_size) for scale in scales}
    small = {scale.label: photos.too_small(scale, experiment.lr_size) for scale in scales}
    records = [record for run in runs if (record := run.record)]
    sources = (source_name(run.config.data.folder or run.config.data.dataset) for run in runs)
    return Comparison(
        name=name,
        experiment=experiment,
        arms=tuple(_arm(arm, experiment, runs, scored) for arm in experiment.arms),
        bicubic={label: _quality([entry["bicubic"]]) for label, entry in baseline.items()},
        crops={label: len(found) for label, found in crops.items()},
        too_small={label: names for label, names in small.items() if names},
        trained_on=tuple(dict.fromkeys(sources)),
        tested_on=photos.name,
        photos=len(photos),
        steps=tuple(sorted({run.config.train.steps for run in runs})),
        hardware=tuple(dict.fromkeys(record.hardware for record in records)),
    )


def _arm(name: str, experiment: Experiment, runs: Sequence[Run], scored: Scored) -> Arm:
    own = [run for run in runs if run.arm == name]
    finished = [run for run in own if run.finished]
    records = [record for run in own if (record := run.record)]
    found = [scored[name, run.seed] for run in finished]
    labels = list(found[0]) if found else []
    return Arm(
        name=name,
        control=name in experiment.controls,
        seeds=tuple(run.seed for run in finished),
        missing=tuple(run.seed for run in own if run.left),
        failures={run.seed: run.failure for run in own if run.failure},
        encoder=records[0].encoder if records else 0,
        decoder=records[0].decoder if records else 0,
        minutes=_mean([run.record.seconds / 60 for run in finished if run.record]),
        gains={label: tuple(float(_gain(f[label]).mean()) for f in found) for label in labels},
        against=experiment.compared_with(name),
        differences=_differences(name, experiment, scored),
        quality={label: _quality([f[label]["network"] for f in found]) for label in labels},
    )


def _gain(entry: Entry) -> np.ndarray:
    """PSNR above bicubic by crop, dB."""
    gain: np.ndarray = np.subtract(entry["network"]["psnr_y"], entry["bicubic"]["psnr_y"])
    return gain


def _differences(arm: str, experiment: Experiment, scored: Scored) -> dict[str, Interval]:
    """Differences of gain between an arm and its counterpart, on the seeds and scales of both."""
    other = experiment.compared_with(arm)
    seeds = [s for s in experiment.seeds if (arm, s) in scored and (other, s) in scored]
    found = {}
    for scale in experiment.parsed_scales:
        pairs = [(scored[arm, s], scored[other, s]) for s in seeds]
        both = [(a[scale.label], b[scale.label]) for a, b in pairs if scale.label in a.keys() & b]
        if both:
            rows = np.stack([_gain(a) - _gain(b) for a, b in both])
            found[scale.label] = paired_bootstrap(rows, both[0][0]["photos"])
    return found


def _quality(methods: Sequence[Entry]) -> Quality:
    """Means over seeds of one method's entries at a scale."""
    by_crop = {n: _mean([_mean(m[n]) for m in methods]) for n in ("psnr_y", "ssim", "lr_psnr")}
    spectra = [method["spectrum"] for method in methods]
    beyond = {n: _mean([s[n] for s in spectra]) for n in ("energy_ratio", "mean_coherence")}
    return Quality(**by_crop, **beyond, spectrum=_spectrum(spectra))


def _spectrum(spectra: Sequence[Entry]) -> Spectrum:
    """Means of the spectra of some seeds."""
    output, truth, coherence = (
        np.mean([s[n] for s in spectra], axis=0)
        for n in ("output_power", "truth_power", "coherence")
    )
    power = np.divide(output, truth, out=np.full_like(output, np.nan), where=truth > 0)
    return Spectrum(
        tuple(spectra[0]["frequency"]), tuple(power.tolist()), tuple(coherence.tolist())
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def write_results(folder: Path, comparison: Comparison) -> None:
    """Writes results.json in a folder atomically; InputError if it cannot."""
    _write(folder / RESULTS, json_text(comparison.to_dict()))


def write_finished(folder: Path, runs: Sequence[Run]) -> None:
    """Writes runs.jsonl in a folder: a line for each run that is finished or failed."""
    lines = []
    for run in runs:
        record = run.record
        if record is not None and not run.left:
            row = {"arm": run.arm, "seed": run.seed, "run": run.folder.name, "steps": run.step}
            lines.append(json.dumps({**row, **asdict(record)}))
    _write(folder / FINISHED, "".join(line + "\n" for line in lines))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
