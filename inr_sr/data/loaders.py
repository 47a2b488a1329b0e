"""Loaders of training data: a resident set of images, or a stream of crops."""

import dataclasses
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr.data import samples
from inr_sr.data.crops import ResidentSet, stream_crops
from inr_sr.data.samples import MIN_PATCH, Sampling
from inr_sr.data.sources import Source, open_source
from inr_sr.devices import PyTree, place, replicated, sharded
from inr_sr.errors import InputError

MODES = ("resident", "streaming")


Data = PyTree
"""What a loader gives for some steps: see `training.step.make_advance`."""


class Loader(Protocol):
    """Delivers the data of training steps."""

    def take(self, count: int) -> Data:
        """The data of the next `count` steps.

        Args:
          count: 1 to train.steps_per_dispatch.

        Returns:
          A pytree that all steps and samples share, or an array [max_count, batch, ...], the first
          `count` valid; see `step.make_advance`.
        """
        ...

    def close(self) -> None:
        """Ends background threads."""
        ...


def default_config() -> ConfigDict:
    """The `data` section of a configuration."""
    config = ConfigDict()
    config.dataset = "embedded"  # embedded | tfds:NAME
    config.split = "train"  # split of the embedded images or of a TFDS data set
    config.folder = ""  # a folder of images; replaces `dataset`
    config.mode = "resident"  # resident: all images in device memory | streaming
    config.threads = 0  # streaming: threads that decode; 0 is one for each core
    config.cache_mib = 1024  # streaming: decoded images kept in memory
    config.update(samples.default_config())
    return config


def sampling(config: ConfigDict) -> Sampling:
    """The Sampling of a configuration, for its largest patches."""
    data = config.data
    return Sampling(
        patch=data.patch,
        min_scale=data.min_scale,
        max_scale=data.max_scale,
        queries=data.queries,
        layout=data.layout,
        candidates=data.candidates,
        targets=data.targets,
        jitter=data.jitter,
        jitter_shape=data.jitter_shape,
    )


def samplings(config: ConfigDict) -> list[Sampling]:
    """One Sampling per side of LR patches, the largest first: its crops contain the others'.

    Raises:
      InputError: an invalid Sampling, or `data.other_patches` that are not smaller.
    """
    largest = sampling(config)
    others = tuple(config.data.other_patches)
    fit = all(isinstance(n, int) and MIN_PATCH <= n < largest.patch for n in others)
    if not fit or len(set(others)) < len(others):
        raise InputError(
            f"data.other_patches {others} must be whole numbers that differ, from {MIN_PATCH} to "
            f"below data.patch {largest.patch}"
        )
    try:
        return [largest, *(dataclasses.replace(largest, patch=patch) for patch in others)]
    except InputError as error:
        raise InputError(f"data.other_patches {others}: {error}") from error


def check_mode(config: ConfigDict) -> None:
    """Raises InputError for an unknown `data.mode`."""
    if config.data.mode not in MODES:
        raise InputError(f"data.mode {config.data.mode!r} must be one of {', '.join(MODES)}")


def training_source(config: ConfigDict) -> Source:
    """The images to train on: those of data.folder, or of data.dataset without one.

    Raises:
      InputError: no such folder, data set or split, or no image in it.
    """
    return open_source(config.data.folder or config.data.dataset, config.data.split)


class ResidentLoader:
    """All images on every device; steps cut their own crops."""

    def __init__(self, source: Source, spec: Sampling, mesh: Mesh):
        """Decodes all images and places them.

        Args:
          source: the images.
          spec: the largest of the `samplings`, which says how large crops are.
          mesh: the devices.

        Raises:
          InputError: an image cannot be read, none is large enough, or all have too many pixels.
        """
        images = (source[i] for i in range(len(source)))
        packed = ResidentSet.from_images(images, crop=spec.crop, border=spec.border)
        self._set: ResidentSet = place(packed, replicated(mesh))

    def take(self, count: int) -> ResidentSet:
        """The same set for any number of steps."""
        return self._set

    def close(self) -> None:
        """Nothing runs in the background."""


class StreamingLoader:
    """Crops that threads of the host decode ahead.

    Every host reads all crops of a batch and keeps its share, so a step's data depend on seed and
    step alone, not on the number of hosts.
    """

    def __init__(self, config: ConfigDict, source: Source, spec: Sampling, mesh: Mesh, step: int):
        """Starts to read at the crops of the step after `step`.

        Args:
          config: a full configuration: seed, data.threads, data.cache_mib, train.batch_size and
            train.steps_per_dispatch.
          source: the images.
          spec: the largest of the `samplings`, which says how large and how many crops are.
          mesh: the devices, over which a batch is spread.
          step: number of steps already done.

        Raises:
          InputError: see `stream_crops`.
        """
        self._crops = stream_crops(
            source,
            batch_size=config.train.batch_size * spec.candidates,
            crop=spec.crop,
            border=spec.border,
            seed=config.seed,
            start_step=step,
            threads=config.data.threads,
            cache_bytes=config.data.cache_mib * 2**20,
        )
        self._shape = (config.train.batch_size, spec.candidates, spec.crop, spec.crop, 3)
        self._max_count = config.train.steps_per_dispatch
        self._sharding = sharded(mesh)

    def take(self, count: int) -> jax.Array:
        """uint8 [steps_per_dispatch, batch, candidates, crop, crop, 3], `count` steps valid."""
        crops = np.stack([next(self._crops).reshape(self._shape) for _ in range(count)])
        crops = np.pad(crops, ((0, self._max_count - count), *((0, 0),) * 5))
        placed: jax.Array = place(crops, self._sharding)
        return placed

    def close(self) -> None:
        """Ends the threads that decode."""
        self._crops.close()


def open_loader(
    config: ConfigDict, source: Source, spec: Sampling, mesh: Mesh, step: int
) -> ResidentLoader | StreamingLoader:
    """The loader of a configuration's `data.mode`.

    Args:
      config: a full configuration.
      source: the images.
      spec: the largest of the `samplings`.
      mesh: the devices.
      step: number of steps already done; the loader continues after it.

    Raises:
      InputError: see the loaders.
    """
    if config.data.mode == "streaming":
        return StreamingLoader(config, source, spec, mesh, step)
    return ResidentLoader(source, spec, mesh)
