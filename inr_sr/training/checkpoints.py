"""Checkpoints on disk, the newest and the best; atomic writes in the background."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from inr_sr.devices import PyTree
from inr_sr.errors import InputError
from inr_sr.models.parts import Params
from inr_sr.training.state import TrainState
from inr_sr.training.task import SCORE
from inr_sr.weights import checksum

CHECKPOINTS = "checkpoints"  # their folder in a work folder
_CANNOT_OPEN = "checkpoints in {} cannot be opened"
_CANNOT_WRITE = "checkpoints in {} cannot be written"


def latest_step(folder: Path) -> int | None:
    """Step of the newest complete checkpoint in `folder`; None without one, or without a folder."""
    return max(ocp.utils.checkpoint_steps(folder), default=None) if folder.is_dir() else None


class Checkpoints:
    """The checkpoints of one run.

    Parameters and their average are an item of their own, so that evaluation reads them without the
    optimizer's state.
    """

    def __init__(self, folder: Path, *, read_only: bool = False):
        """Opens a folder.

        Args:
          folder: of the checkpoints; it is made if it does not exist, unless `read_only`.
          read_only: opens it on this host alone, otherwise on all hosts together. Reading only
            changes nothing, so it is safe while a run writes there.

        Raises:
          InputError: it cannot be opened.
        """
        logging.getLogger("absl").addFilter(_EXPECTED_WARNINGS)
        # max_to_keep with best_fn would delete the newest step, from which a run resumes.
        keep = AnyPreservationPolicy(
            [
                LatestN(1),
                BestN(get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False),
            ]
        )
        me = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"reader_{me}"
        )
        self._folder = folder.absolute()
        self._manager = self._orbax(
            _CANNOT_OPEN,
            ocp.CheckpointManager,
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=keep,
                best_fn=_score,
                best_mode="max",
                read_only=read_only,
                create=not read_only,
                save_interval_steps=0 if read_only else 1,
                cleanup_tmp_directories=not read_only,
                **({"multiprocessing_options": alone} if read_only else {}),
            ),
            item_names=("parameters", "rest", "checksums"),
        )

    def _orbax(self, failure: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Calls Orbax; turns whatever its storage raises into an InputError of one line."""
        logger = logging.getLogger("absl")
        level = logger.level
        logger.setLevel(logging.CRITICAL)  # Orbax logs first what it raises
        try:
            return call(*args, **options)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InputError(f"{failure.format(self._folder)}: {reason}") from error
        finally:
            logger.setLevel(level)

    def steps(self) -> list[int]:
        """Steps of all checkpoints, ascending; [] without any."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, step: int, score: float | None) -> None:
        """Starts to write `state`; with a `score` (dB) it can become the best.

        Raises:
          InputError: this checkpoint or the one before cannot be written.
        """
        if step in self._manager.all_steps():
            return
        items = {
            "parameters": {"params": state.params, "ema": state.ema},
            "rest": _rest(state),
        }
        sums = {name: _checksum(item) for name, item in items.items()}
        saved = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        self._orbax(
            _CANNOT_WRITE,
            self._manager.save,
            step,
            args=ocp.args.Composite(**saved, checksums=ocp.args.JsonSave(sums)),
            metrics=None if score is None else {SCORE: score},
        )

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint, with the structure and on the devices of `like`.

        Raises:
          InputError: there is no checkpoint, it cannot be read, or it is of another model.
        """
        step = self._existing(self._manager.latest_step())
        found = self._read(
            step,
            parameters={"params": like.params, "ema": like.ema},
            rest=_rest(like),
        )
        return TrainState(step=like.step + step, **found["parameters"], **found["rest"])

    def restore_average(self, like: Params, *, best: bool = False) -> tuple[int, Params]:
        """Step and averaged parameters of the newest checkpoint, or of the best scored one.

        Args:
          like: parameters of the same model, with the structure and devices to use.
          best: the checkpoint of the best score instead of the newest.

        Raises:
          InputError: there is no checkpoint, it cannot be read, or it is of another model.
        """
        choose = self._manager.best_step if best else self._manager.latest_step
        step = self._existing(self._orbax(_CANNOT_OPEN, choose))
        found = self._read(step, parameters={"params": like, "ema": like})
        return step, found["parameters"]["ema"]

    def _existing(self, step: int | None) -> int:
        if step is None:
            raise InputError(f"{self._manager.directory} holds no checkpoint")
        return step

    def _read(self, step: int, **items: Any) -> Any:
        args = {name: ocp.args.StandardRestore(item) for name, item in items.items()}
        composite = ocp.args.Composite(**args, checksums=ocp.args.JsonRestore())
        failure = f"checkpoint {step} in {{}} cannot be opened"
        found = self._orbax(failure, self._manager.restore, step, args=composite)
        for name in items:
            if _checksum(found[name]) != found["checksums"][name]:
                raise InputError(
                    f"checkpoint {step} in {self._folder} is damaged: its {name} do not match "
                    "their checksum"
                )
        return found

    def wait(self) -> None:
        """Returns when everything is on disk.

        Raises:
          InputError: a checkpoint cannot be written.
        """
        self._orbax(_CANNOT_WRITE, self._manager.wait_until_finished)

    def close(self) -> None:
        """Waits as `wait` does, and closes the folder.

        Raises:
          InputError: a checkpoint cannot be written.
        """
        self._orbax(_CANNOT_WRITE, self._manager.close)


def _score(metrics: Mapping[str, float]) -> float:
    return metrics.get(SCORE, -math.inf)


def _checksum(tree: PyTree) -> str:
    """SHA-256 of all leaves and their paths: Orbax does not detect a flipped byte."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return checksum({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves})


def _rest(state: TrainState) -> dict[str, PyTree]:
    """The parts of a state that only a resumed run needs."""
    rest = {"opt_state": state.opt_state, "rng": state.rng, "adversary": state.adversary}
    return {name: item for name, item in rest.items() if item is not None}


class _ExpectedWarnings(logging.Filter):
    """Drops Orbax's warnings about saving without a score and about reading only."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = str(record.msg)
        return "did not provide metrics" not in text and "is read only" not in text


_EXPECTED_WARNINGS = _ExpectedWarnings()
