"""What the training loop asks of a task; it knows no model, no data and no loss itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from inr_sr.data.loaders import Loader

Params = Any
"""Nested dicts of float32 arrays."""
Metrics = dict[str, jax.Array]
"""Scalars by name."""
SCORE = "eval_psnr"
"""Name of the number, in dB, that the best checkpoint is best at."""

Validated = tuple[dict[str, float], Mapping[str, np.ndarray]]
"""Numbers for metrics.jsonl, SCORE among them, and images [h, w, 3] in [0, 1] by name."""


class Task(Protocol):
    """One thing to train: parameters, data, a loss, and what is done with the result.

    Attributes:
      constants: arrays that the loss reads and training does not change, such as the weights of a
        loss network, or (). They lie on the devices and are arguments of the compiled step: closed
        over, they would become constants of the program.
      shapes: how many shapes its batches have; each step draws one.
    """

    @property
    def constants(self) -> Any: ...

    @property
    def shapes(self) -> int: ...

    def init(self, key: jax.Array) -> Params:
        """New parameters."""
        ...

    def initial(self) -> Params | None:
        """Parameters that a new run starts from in place of those of `init`, if any."""
        ...

    def labels(self, params: Params) -> Any:
        """The optimizer group of each parameter, see `models.parts`, in the form of `params`."""
        ...

    def loader(self, mesh: Mesh, step: int) -> Loader:
        """Opens the data, ready to go on after `step`."""
        ...

    def batch(self, keys: jax.Array, data: Any, shape: int) -> Any:
        """A batch, on the device.

        Args:
          keys: [B] random keys, one for each sample, so that a sample does not depend on its batch.
          data: what the loader gave, for one step and these samples.
          shape: which of the `shapes` it has.
        """
        ...

    def loss(
        self, params: Params, batch: Any, key: jax.Array, constants: Any
    ) -> tuple[jax.Array, Metrics]:
        """What is minimised, a mean over the batch, and metrics.

        Args:
          params: the parameters.
          batch: a batch.
          key: for randomness beyond the batch's.
          constants: the task's, on the devices.
        """
        ...

    def statistics(self, params: Params) -> Metrics:
        """Numbers about the parameters that are logged with each step."""
        ...

    def validate(self, params: Params) -> Validated:
        """Validates the averaged parameters, while training and at the end."""
        ...

    def check_inputs(self, workdir: Path, *, moved_only: bool = False) -> None:
        """Raises InputError unless `workdir` was begun on the files that this task reads.

        Args:
          workdir: of the run.
          moved_only: check only files that the configuration names by another path than then.
        """
        ...

    def record_inputs(self, workdir: Path) -> None:
        """Stores in `workdir` which files this task reads."""
        ...

    def finished(self, workdir: Path) -> bool:
        """Whether `finish` has been done in `workdir`."""
        ...

    def finish(self, workdir: Path) -> None:
        """What is done at the end, on the first host: weights, evaluation, a report."""
        ...


class PatchTask(Task, Protocol):
    """A task whose batches are patches of images, which an adversary can judge."""

    def generate(self, params: Params, batch: Any) -> jax.Array:
        """The network's output for a batch."""
        ...

    def reconstruction(
        self, out: jax.Array, batch: Any, constants: Any
    ) -> tuple[jax.Array, Metrics]:
        """`loss` of what `generate` returned."""
        ...

    def images(self, out: jax.Array) -> jax.Array:
        """What `generate` returned as images [B, n, n, 3]."""
        ...

    def truth(self, batch: Any) -> jax.Array:
        """The images [B, n, n, 3] that these should be."""
        ...

    def condition(self, batch: Any) -> jax.Array:
        """Images [B, n, n, 3] of what the network was given, for the adversary to see."""
        ...

    def last_layer(self, params: Params) -> list[jax.Array]:
        """The kernels in `params` that the output is linear in."""
        ...
