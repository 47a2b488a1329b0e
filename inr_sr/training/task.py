"""The Task protocol: all that the training loop and step know about what is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from inr_sr.data.loaders import Data, Loader
from inr_sr.devices import PyTree
from inr_sr.models.parts import Labels, Params

Batch = PyTree
"""What a task's loss is of; the task alone knows its form."""
Constants = PyTree
"""Arrays that a loss reads and training does not change."""
Metrics = dict[str, jax.Array]
"""Scalars by name."""
SCORE = "eval_psnr"
"""Name of the validated number, in dB, that selects the best checkpoint."""

Validated = tuple[dict[str, float], Mapping[str, np.ndarray]]
"""Numbers for metrics.jsonl, SCORE among them, and images [h, w, 3] in [0, 1] by name."""


class Task(Protocol):
    """One thing to train: parameters, data, a loss, a validation, and what the end produces.

    Attributes:
      constants: pytree of arrays that the loss reads and training does not change, such as the
        weights of a loss network; () if there are none. They are arguments of the compiled step:
        closed over, they would be copied into the program.
      shapes: number of shapes that batches have; each step draws one of them.
    """

    @property
    def constants(self) -> Constants: ...

    @property
    def shapes(self) -> int: ...

    def init(self, key: jax.Array) -> Params:
        """Initial parameters."""
        ...

    def initial(self) -> Params | None:
        """Parameters that a new run starts from instead of those of `init`; None: no others."""
        ...

    def labels(self, params: Params) -> Labels:
        """The optimizer group of each parameter, a tree like `params`; see `models.parts`."""
        ...

    def loader(self, mesh: Mesh, step: int) -> Loader:
        """The loader of training data, which continues after `step`."""
        ...

    def batch(self, keys: jax.Array, data: Data, shape: int) -> Batch:
        """A batch of samples; runs inside the compiled step.

        Args:
          keys: [B] random keys, one per sample, so that a sample does not depend on its batch.
          data: the loader's data for one step and these samples.
          shape: index of the batch's shape, below `shapes`.
        """
        ...

    def loss(
        self, params: Params, batch: Batch, keys: jax.Array, constants: Constants
    ) -> tuple[jax.Array, Metrics]:
        """The loss, a mean over the batch, and metrics; runs inside the compiled step.

        A metric "error", a mean squared error, is logged as "psnr".

        Args:
          params: the parameters.
          batch: a batch.
          keys: [B] random keys, one for each sample, none of them used by `batch`.
          constants: the task's constants, on the devices.
        """
        ...

    def statistics(self, params: Params) -> Metrics:
        """Numbers about the parameters that are logged with each step."""
        ...

    def validate(self, params: Params) -> Validated:
        """Validates averaged parameters, during the run and at its end."""
        ...

    def check_inputs(self, workdir: Path, *, moved_only: bool = False) -> None:
        """Checks that the run in `workdir` started from the files that this task reads.

        Args:
          workdir: the run's work folder.
          moved_only: check only files whose path in the configuration has changed.

        Raises:
          InputError: it started from others.
        """
        ...

    def record_inputs(self, workdir: Path) -> None:
        """Stores checksums of the files that this task reads, for `check_inputs`."""
        ...

    def finished(self, workdir: Path) -> bool:
        """Whether `finish` was completed in `workdir`."""
        ...

    def finish(self, workdir: Path) -> None:
        """Runs after the last step, on the first host: exports weights, writes a report."""
        ...


class PatchTask(Task, Protocol):
    """A task whose batches are image patches, so that an adversary can be added to it."""

    def generate(self, params: Params, batch: Batch) -> jax.Array:
        """The network's output for a batch; runs inside the compiled step.

        Args:
          params: the parameters.
          batch: B samples, see `Task.batch`.

        Returns:
          An array [B, ...], which `reconstruction` and `images` read.
        """
        ...

    def reconstruction(
        self, out: jax.Array, batch: Batch, constants: Constants
    ) -> tuple[jax.Array, Metrics]:
        """The loss and metrics of an output of `generate`."""
        ...

    def images(self, out: jax.Array) -> jax.Array:
        """An output of `generate` as images [B, n, n, 3]."""
        ...

    def truth(self, batch: Batch) -> jax.Array:
        """The true images [B, n, n, 3] of a batch, in [0, 1]."""
        ...

    def condition(self, batch: Batch) -> jax.Array:
        """Images [B, n, n, 3] of the network's input, the discriminator's condition."""
        ...

    def last_layer(self, params: Params) -> list[jax.Array]:
        """The kernels of the output layer in `params`."""
        ...
