"""Checkpoints on disk: the newest and the best, written in the background, whole or not at all."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from inr_sr.errors import InputError
from inr_sr.training.state import TrainState
from inr_sr.training.task import SCORE
from inr_sr.weights import checksum

CHECKPOINTS = "checkpoints"  # their folder in a working directory
_UNOPENED = "checkpoints in {} cannot be opened"
_UNWRITTEN = "checkpoints in {} cannot be written"


class _Meant(logging.Filter):
    """Drops Orbax's warnings of what is done on purpose: saving without a score, reading only."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = str(record.msg)
        return "did not provide metrics" not in text and "is read only" not in text


def _score(metrics: Mapping[str, float]) -> float:
    return metrics.get(SCORE, -math.inf)


def _checksum(tree: Any) -> str:
    """Of all leaves, by their paths: the storage below does not notice a flipped byte."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return checksum({jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves})


def _rest(state: TrainState) -> dict[str, Any]:
    """What only a training that goes on needs."""
    rest = {"opt_state": state.opt_state, "rng": state.rng, "adversary": state.adversary}
    return {name: item for name, item in rest.items() if item is not None}


def latest_step(folder: Path) -> int | None:
    """Step of the newest whole checkpoint in `folder`, which need not exist."""
    return max(ocp.utils.checkpoint_steps(folder), default=None) if folder.is_dir() else None


class Checkpoints:
    """The checkpoints of one working directory.

    Parameters and their average are an item of their own, so that evaluation can read them
    without knowing the optimizer.
    """

    def __init__(self, folder: Path, *, read_only: bool = False):
        """Opens `folder` on every host together; `read_only` on this one alone.

        Reading only leaves everything as it is, also what a training is writing there just now.
        """
        logging.getLogger("absl").addFilter(_MEANT)
        # max_to_keep with best_fn would delete the newest step, and with it the place to resume.
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
        self._manager = self._told(
            _UNOPENED,
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

    def _told(self, failure: str, ask: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Asks Orbax, which raises whatever its storage does, and makes one line of that."""
        logger = logging.getLogger("absl")
        level = logger.level
        logger.setLevel(logging.CRITICAL)  # it would say first what becomes an error here
        try:
            return ask(*args, **options)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InputError(f"{failure.format(self._folder)}: {reason}") from error
        finally:
            logger.setLevel(level)

    def steps(self) -> list[int]:
        """Steps of the checkpoints there are, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, state: TrainState, step: int, score: float | None) -> None:
        """Begins to write `state`; a `score` (dB) lets it become the best.

        Raises:
          InputError: this one or the one before cannot be written, for lack of space perhaps.
        """
        if step in self._manager.all_steps():
            return
        items = {
            "parameters": {"params": state.params, "ema": state.ema},
            "rest": _rest(state),
        }
        sums = {name: _checksum(item) for name, item in items.items()}
        saved = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        self._told(
            _UNWRITTEN,
            self._manager.save,
            step,
            args=ocp.args.Composite(**saved, checksums=ocp.args.JsonSave(sums)),
            metrics=None if score is None else {SCORE: score},
        )

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint in the form and on the devices of `like`.

        Raises:
          InputError: there is none, it cannot be read, or it is of another model.
        """
        step = self._existing(self._manager.latest_step())
        found = self._read(
            step,
            parameters={"params": like.params, "ema": like.ema},
            rest=_rest(like),
        )
        return TrainState(step=like.step + step, **found["parameters"], **found["rest"])

    def restore_average(self, like: Any, *, best: bool = False) -> tuple[int, Any]:
        """Step and averaged parameters of the newest checkpoint, or of the best scored one.

        Args:
          like: parameters of the same model, whose form and devices are taken.
          best: choose by the score of the validation.

        Raises:
          InputError: there is no checkpoint, it cannot be read, or it is of another model.
        """
        choose = self._manager.best_step if best else self._manager.latest_step
        step = self._existing(self._told(_UNOPENED, choose))
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
        found = self._told(failure, self._manager.restore, step, args=composite)
        for name in items:
            if _checksum(found[name]) != found["checksums"][name]:
                raise InputError(
                    f"checkpoint {step} in {self._folder} is damaged: its {name} do not match "
                    "their checksum"
                )
        return found

    def wait(self) -> None:
        """Returns when all that was saved is on disk; InputError where that cannot be."""
        self._told(_UNWRITTEN, self._manager.wait_until_finished)

    def close(self) -> None:
        """Waits as `wait` does, and frees what the manager holds."""
        self._told(_UNWRITTEN, self._manager.close)


_MEANT = _Meant()
