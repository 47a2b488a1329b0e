"""The network of a run: loaded from its checkpoints, and exported as a weights file."""

from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.config import default
from inr_sr.data.sources import source_name
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.reporting.machine import describe_hardware
from inr_sr.training.checkpoints import CHECKPOINTS, Checkpoints
from inr_sr.training.workdir import PERCEPTUAL, read_config, stored_checksum
from inr_sr.upscaling import NetworkUpscaler
from inr_sr.weights import save_weights

WEIGHTS = "model.safetensors"
# Fields of `config.data` that a model card states where they differ from the default.
STATED = ("layout", "targets", "jitter", "jitter_shape", "other_patches")


def load_average(workdir: Path, *, best: bool = False) -> tuple[ConfigDict, int, models.Params]:
    """Configuration, step and averaged parameters (NumPy) of a run's newest checkpoint.

    Args:
      workdir: the run's work folder.
      best: the checkpoint with the best score instead. Its score is biased where it was chosen by
        the images that it is reported on.

    Raises:
      InputError: no run there, no checkpoint yet, or one that cannot be read.
    """
    config = read_config(workdir)
    like = models.init(models.build(config.model), jax.random.key(0))
    checkpoints = Checkpoints(workdir / CHECKPOINTS, read_only=True)
    try:
        like = place(jax.tree.map(np.asarray, like), replicated(make_mesh()))
        step, average = checkpoints.restore_average(like, best=best)
    finally:
        checkpoints.close()
    return config, step, jax.tree.map(np.asarray, average)


def perceptual_checksum(workdir: Path) -> str:
    """SHA-256 of the weights file of a run's perceptual loss; "" without that loss.

    Raises:
      InputError: the stored checksum cannot be read.
    """
    return stored_checksum(workdir / PERCEPTUAL) if read_config(workdir).loss.perceptual else ""


def _facts(config: ConfigDict, step: int, vgg16_sha256: str) -> dict[str, object]:
    """The facts of a model card; `vgg16_sha256` is "" without the perceptual loss."""
    layers = zip(config.perceptual.layers, config.perceptual.layer_weights)
    perceptual = {"vgg16 sha256": vgg16_sha256, **dict(layers)}
    return {
        "init": config.init or "random",
        "steps": step,
        "learning_rate": config.optimizer.learning_rate,
        "ema": config.train.ema,
        "seed": config.seed,
        "data": source_name(config.data.folder or config.data.dataset),
        "batch": f"{config.train.batch_size} LR patches of {config.data.patch} pixels a side, "
        f"each the one of {config.data.candidates} with most edges",
        "scales": f"uniform in {config.data.min_scale} to {config.data.max_scale}",
        **{name: config.data[name] for name in STATED if config.data[name] != default().data[name]},
        "loss": {name: weight for name, weight in config.loss.items() if weight},
        **({"perceptual": perceptual} if vgg16_sha256 else {}),
        **({"adversarial": config.adversarial.to_dict()} if config.adversarial.weight else {}),
        "hardware": describe_hardware(),
        "jax": jax.__version__,
    }


def load_network(
    workdir: Path, *, name: str | None = None, best: bool = False, ensemble: bool = False
) -> NetworkUpscaler:
    """The network of a run, from its newest or best checkpoint.

    Args:
      workdir: the run's work folder.
      name: its name in tables and messages; None: the folder's name.
      best: the checkpoint with the best score instead of the newest, see `load_average`.
      ensemble: whether it upscales as the mean of 8 flips and rotations.

    Raises:
      InputError: see `load_average`.
    """
    config, _, params = load_average(workdir, best=best)
    name = workdir.resolve().name if name is None else name
    return NetworkUpscaler(models.build(config.model), params, name, ensemble=ensemble)


def export(workdir: Path) -> None:
    """Writes the averaged parameters of the newest checkpoint to the work folder's WEIGHTS.

    Args:
      workdir: the run's work folder; the network is named after it.

    Raises:
      InputError: see `load_average` and `perceptual_checksum`.
      OSError: the file cannot be written.
    """
    config, step, params = load_average(workdir)
    name = workdir.resolve().name
    facts = _facts(config, step, perceptual_checksum(workdir))
    save_weights(workdir / WEIGHTS, params, config.model, facts, name=name)
