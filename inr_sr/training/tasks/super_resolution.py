"""The super-resolution task: from LR patches to HR colours at any scale; a report at the end."""

import copy
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Self

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr import models, render
from inr_sr.coordinates import upright_footprint
from inr_sr.data.crops import ResidentSet
from inr_sr.data.loaders import Data, Loader, check_mode, open_loader, samplings, training_source
from inr_sr.data.samples import Batch, make_batch, squares
from inr_sr.data.sources import Source, fingerprint, open_source
from inr_sr.devices import on_cpu
from inr_sr.errors import InputError
from inr_sr.evaluation.protocols import get_protocol
from inr_sr.models.field import SKIP_REACH, Field, with_margin
from inr_sr.models.parts import Labels, Params
from inr_sr.resampling import bicubic
from inr_sr.training import losses
from inr_sr.training.losses import formulas
from inr_sr.training.losses.formulas import Term
from inr_sr.training.losses.perceptual import VggDistance
from inr_sr.training.task import Constants, Metrics, Validated
from inr_sr.training.trained import export, perceptual_checksum
from inr_sr.training.validation import Report, Validation, report_written
from inr_sr.training.workdir import (
    IMAGES,
    PERCEPTUAL,
    read_config,
    store_checksum,
    stored_checksum,
)
from inr_sr.weights import load_model


class SuperResolution:
    """A PatchTask: a model learns the colours of HR pixels from LR patches.

    Args:
      config: a full configuration.
      validate: see `Task.validate`; None: the task cannot be validated, nor trained.
      report: written at the end; None: no report, and no exported weights.
      model: replaces the model that the configuration describes.

    Attributes:
      config: the configuration.
      model: the model.
      specs: one Sampling per side of LR patches, the largest first.

    Raises:
      InputError: a configuration that cannot work. No file is opened.
    """

    def __init__(
        self,
        config: ConfigDict,
        validate: Callable[[Params], Validated] | None = None,
        report: Report | None = None,
        model: models.Model | None = None,
    ) -> None:
        check_mode(config)
        self.config = config
        self.model = model or models.build(config.model, remat=config.train.remat)
        self.specs = samplings(config)
        for spec in self.specs:
            self._weights = losses.check(config, spec)
        self._validate, self._report = validate, report
        self._reports = report is not None
        _check_model(config, self.model)

    @classmethod
    def evaluated(cls, config: ConfigDict, workdir: Path) -> Self:
        """The task that train.py runs: validation and report are those of `config.eval`.

        Raises:
          InputError: as the class; evaluation images that do not exist or are too small; a name of
            `workdir` that is a baseline's.
        """
        task = cls(config)
        task._reports = True
        if report_written(workdir):  # a finished run needs its evaluation images no more
            return task
        test = open_source(config.eval.dataset, config.eval.split)
        protocol = get_protocol(config.eval.protocol)
        task._validate = Validation(config, task.model, test, protocol)
        task._report = Report(config, task.model, test, protocol)
        task._report.check(workdir)
        return task

    @property
    def shapes(self) -> int:
        """Number of sides that LR patches have."""
        return len(self.specs)

    @functools.cached_property
    def constants(self) -> dict[str, Term]:
        """Weights that losses read from files, by the loss's name."""
        return losses.load(self.config, self._weights)

    @functools.cached_property
    def source(self) -> Source:
        """The images to train on."""
        return training_source(self.config)

    def init(self, key: jax.Array) -> Params:
        """See `Task.init`."""
        return models.init(self.model, key)

    def initial(self) -> Params | None:
        """The parameters of `config.init`, which must be of the same model; None without one."""
        config = self.config
        if not config.init:
            return None
        _, weights = load_model(config.init)
        # As dicts: two ConfigDicts differ if only one of them is locked.
        stored, wanted = weights.config.to_dict(), config.model.to_dict()
        for section in (stored, wanted):  # only random parameters depend on it
            section["modulated"].pop("lr_size")
        parts = ("skip", "encoder", "decoder", config.model.encoder, config.model.decoder)
        differing = [name for name in parts if stored.get(name) != wanted[name]]
        if differing:
            raise InputError(
                f"config.init {config.init!r} is of another model: it differs in model."
                f"{', model.'.join(differing)}"
            )
        return weights.params

    def labels(self, params: Params) -> Labels:
        """See `Task.labels`."""
        return self.model.labels(params)

    def loader(self, mesh: Mesh, step: int) -> Loader:
        """See `Task.loader`."""
        return open_loader(self.config, self.source, self.specs[0], mesh, step)

    def batch(self, keys: jax.Array, data: Data, shape: int) -> Batch:
        """See `Task.batch`.

        Args:
          keys: [B].
          data: a ResidentSet, or uint8 crops [B, candidates, crop, crop, 3] of the largest spec.
          shape: index into `specs`.
        """
        spec = self.specs[shape]
        crop_keys, sample_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        if isinstance(data, ResidentSet):
            candidates = jax.vmap(lambda key: jax.random.split(key, spec.candidates))(crop_keys)
            data = jax.vmap(data.draw)(candidates)
        if data.shape[2] > spec.crop:
            data = jax.vmap(functools.partial(cut_square, side=spec.crop))(sample_keys, data)
        return make_batch(sample_keys, data, spec)

    def loss(
        self, params: Params, batch: Batch, keys: jax.Array, constants: Constants
    ) -> tuple[jax.Array, Metrics]:
        """See `Task.loss`."""
        return self.reconstruction(self.generate(params, batch), batch, constants)

    def generate(self, params: Params, batch: Batch) -> jax.Array:
        """The model's colours [B, Q, 3] of the queries."""
        field = self.model.apply({"params": params}, batch.lr)
        assert isinstance(field, Field)  # flax knows no return types of modules
        spec = self.specs[0]
        # On a CPU gathering the queried cells is faster than rendering all slots of a patch.
        if spec.layout == "points" or on_cpu():
            footprint = upright_footprint(batch.size[:, None])
            return render.points(field, batch.cell, batch.delta, footprint)
        slots = math.ceil(spec.max_scale)
        out = render.patches(field, squares(batch.cell), squares(batch.delta), batch.size, slots)
        return out.reshape(batch.target.shape)

    def reconstruction(
        self, out: jax.Array, batch: Batch, constants: Constants
    ) -> tuple[jax.Array, Metrics]:
        """The weighted sum of the losses of colours [B, Q, 3], and the metrics."""
        total, values = losses.terms(self._weights, out, batch.target, constants)
        return total, {**values, "loss": total, "error": formulas.mse(out, batch.target)}

    def images(self, out: jax.Array) -> jax.Array:
        """See `PatchTask.images`."""
        return squares(out)

    def truth(self, batch: Batch) -> jax.Array:
        """See `PatchTask.truth`."""
        return squares(batch.target)

    def condition(self, batch: Batch) -> jax.Array:
        """The LR image, enlarged by bicubic to the same pixels."""
        lr = with_margin(batch.lr, 0, SKIP_REACH)
        return squares(bicubic.sample(lr, batch.cell, batch.delta))

    def last_layer(self, params: Params) -> list[jax.Array]:
        """See `Model.last_layer`."""
        return self.model.last_layer(params)

    def statistics(self, params: Params) -> Metrics:
        """kappa, the strength of the attenuation, of a decoder that learns it."""
        decoder = params["decoder"]
        return {"kappa": jnp.exp(decoder["log_kappa"])} if "log_kappa" in decoder else {}

    def validate(self, params: Params) -> Validated:
        """See `Task.validate`."""
        if self._validate is None:
            raise ValueError("this task has no validation")
        return self._validate(params)

    def validated_by(self, validate: Callable[[Params], Validated]) -> Self:
        """The same task with another validation."""
        other = copy.copy(self)
        other._validate = validate
        return other

    def check_inputs(self, workdir: Path, *, moved_only: bool = False) -> None:
        """See `Task.check_inputs`."""
        before, now = read_config(workdir), self.config
        if not moved_only or before.perceptual.weights != now.perceptual.weights:
            _check_perceptual(workdir, self._vgg16_sha256)
        if not moved_only or before.data.folder != now.data.folder:
            _check_images(workdir, now, self.source)

    def record_inputs(self, workdir: Path) -> None:
        """See `Task.record_inputs`."""
        store_checksum(workdir / IMAGES, fingerprint(self.source))
        if self._vgg16_sha256:
            store_checksum(workdir / PERCEPTUAL, self._vgg16_sha256)

    def finished(self, workdir: Path) -> bool:
        """See `Task.finished`."""
        return self._reports and report_written(workdir)

    def finish(self, workdir: Path) -> None:
        """Exports the weights and writes the report."""
        if self._report is not None:
            export(workdir)
            self._report.write(workdir)

    @property
    def _vgg16_sha256(self) -> str:
        """SHA-256 of the perceptual loss's weights file; "" without that loss."""
        term = self.constants.get("perceptual")
        return term.sha256 if isinstance(term, VggDistance) else ""


def cut_square(key: jax.Array, crops: jax.Array, side: int) -> jax.Array:
    """Squares [candidates, side, side, 3] of crops, at one random position for all candidates."""
    room = crops.shape[1] - side
    row, col = jax.random.randint(jax.random.fold_in(key, 2**30), (2,), 0, room + 1)
    return jax.lax.dynamic_slice(crops, (0, row, col, 0), (len(crops), side, side, 3))


def _check_model(config: ConfigDict, model: models.Model) -> None:
    """Raises InputError for a model that cannot be trained on the samples of `config`."""
    if hasattr(model.encoder, "check_size"):
        model.encoder.check_size(config.data.patch, config.data.patch)
    scale = model.fixed_scale
    if scale is None:
        return
    if config.data.targets == "lr" or config.data.jitter:
        raise InputError(
            f"a {config.model.decoder} decoder renders whole output pixels only: it cannot use "
            "data.targets 'lr' or data.jitter"
        )
    scales = {config.data.min_scale, config.data.max_scale}
    if scales != {float(scale)}:
        raise InputError(
            f"a {config.model.decoder} decoder of scale {scale} needs "
            f"data.min_scale = data.max_scale = {scale}, not {sorted(scales)}"
        )


def _check_images(workdir: Path, config: ConfigDict, source: Source) -> None:
    """Checks that the run in `workdir` started on these images, wherever they lie now.

    Raises:
      InputError: it started on others.
    """
    if stored_checksum(workdir / IMAGES) == fingerprint(source):
        return
    old = read_config(workdir)
    before, now = (c.data.folder or c.data.dataset for c in (old, config))
    if before == now:
        raise InputError(f"{workdir} was trained on other images than are in {now!r} now")
    raise InputError(
        f"{workdir} was trained on the images of {before!r}, which those of {now!r} are not: "
        "give the same --config.data.folder"
    )


def _check_perceptual(workdir: Path, sha256: str) -> None:
    """Checks that the run in `workdir` started with a weights file of this checksum ("": none).

    Raises:
      InputError: it started with another file.
    """
    stored = perceptual_checksum(workdir)
    if stored != sha256:
        raise InputError(
            f"{workdir} was trained with another file of perceptual.weights: its SHA-256 is "
            f"{stored} there, {sha256} here. Give the same file, wherever it lies now"
        )
