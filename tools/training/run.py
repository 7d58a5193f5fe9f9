"""The folder of a training: its metrics, and the checkpoint from which it can continue."""

import functools
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foveal.sampler.zooms import unwrapped
from foveal.shards.store import errors_name, replacing
from foveal.tools.console.old_names import with_current_names
from foveal.tools.training._ranks import Ranks

if TYPE_CHECKING:
    from foveal.tools.training._tensorboard import TensorBoard

METRICS, LAST, MODEL, SALIENCY = "metrics.jsonl", "last.pt", "model.pt", "saliency.pt"

# Options that may change when a run is continued, because nothing that is trained depends on them.
_FREE = frozenset({"num_threads", "log", "log_steps", "checkpoint_steps"})


class TrainRun:
    """Writes metrics and checkpoints, on the first rank alone; reads them on all.

    A checkpoint appears by rename, so a process that is killed leaves the previous one. Reading it runs no code in it.

    Args:
        folder: The folder; it is created if it does not exist.
        ranks: The processes that train.
        options: Everything that decides how the training goes, as plain values.
        defaults: Values of options that earlier versions did not have.
        resume: Whether to continue an existing run.

    Attributes:
        resumed: Whether :meth:`load` found a checkpoint.
        unfinished: Number and means of an epoch that had been trained, but not validated, when the run was stopped; None
            if there is none.
        sums: Each rank's sums over the steps of the epoch in the middle of which the run was stopped; None if there are none, as in
            checkpoints of earlier versions.

    Raises:
        ValueError: The folder holds a run, and ``resume`` is False or the options differ.
    """

    resumed: bool = False
    unfinished: dict[str, Any] | None = None
    sums: Tensor | None = None

    def __init__(
        self,
        folder: Path,
        ranks: Ranks,
        options: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any],
        resume: bool,
    ) -> None:
        self.folder, self._ranks, self._options = folder, ranks, dict(options)
        self._defaults = dict(defaults)
        self._first = ranks.rank == 0
        self._board: TensorBoard | None = None
        if not resume and any((folder / name).exists() for name in (METRICS, LAST, MODEL)):
            raise ValueError(
                f"out must be a new folder, got {str(folder)!r}, which holds a run – name another, or add --resume to go on."
            )
        ranks.wait()  # all ranks have looked before one writes
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = self._read() if resume and (folder / LAST).exists() else None

    def load(self, parts: Mapping[str, Any]) -> int:
        """Load all parts from the checkpoint; return its step, 0 for a new run.

        Args:
            parts: What has a ``load_state_dict``, by name.
        """
        step = 0
        if self._checkpoint is not None:
            step = int(self._checkpoint["step"])
            self.unfinished, self.sums = self._checkpoint.get("unfinished"), self._checkpoint.get("sums")
            for name, part in parts.items():
                part.load_state_dict(self._checkpoint[name])
            self._checkpoint = None
            self.resumed = True
        if self._first:
            self._keep_metrics(step if self.resumed else -1)
            if self._options.get("log") == "tensorboard":
                self._board = _tensorboard(self.folder, step)
        self._ranks.wait()
        return step

    def save(
        self,
        parts: Mapping[str, Any],
        step: int,
        *,
        unfinished: Mapping[str, Any] | None = None,
        sums: Tensor | None = None,
    ) -> None:
        """Write a checkpoint of all parts, and the unfinished epoch or the sums if there are some."""
        if self._first:
            states = {name: part.state_dict() for name, part in parts.items()}
            states["unfinished"] = None if unfinished is None else dict(unfinished)
            content = {"step": step, "options": self._options, "sums": sums, **states}
            _write(self.folder / LAST, functools.partial(torch.save, content))
        self._ranks.wait()

    def log(self, kind: str, **values: Any) -> None:
        """Add a line to the metrics."""
        if self._first:
            path = self.folder / METRICS
            with errors_name(path), path.open("a") as file:
                file.write(json.dumps({"kind": kind, **values}) + "\n")
        if self._board is not None:
            self._board.log(kind, values)

    def show(self, name: str, path: Path, step: int) -> None:
        """Add a picture to TensorBoard, if it was drawn; for some samplers there is none."""
        if self._board is not None and path.exists():
            self._board.show(name, path, step)

    def last_epoch(self) -> dict[str, Any]:
        """Return the metrics of the last epoch; empty before the first."""
        epochs = [line for line in self._lines() if line["kind"] == "epoch"]
        return epochs[-1] if epochs else {}

    def finish(self, model: nn.Module, zoom: nn.Module) -> None:
        """Write the results of the run: the classifier's weights, and the zoom if it can be saved."""
        if self._first:
            _write(self.folder / MODEL, functools.partial(torch.save, model.state_dict()))
            save = getattr(unwrapped(zoom), "save_checkpoint", None)
            if save is not None:
                _write(self.folder / SALIENCY, save)
        self._ranks.wait()

    def _read(self) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(self.folder / LAST, map_location="cpu", weights_only=True)
        before = {**self._defaults, **with_current_names(checkpoint["options"])}
        for name, value in self._options.items():
            longer = name == "epochs" and value > before[name]
            if before[name] != value and name not in _FREE and not longer:
                bound = "at least " if name == "epochs" else ""
                raise ValueError(
                    f"{name} must be {bound}{before[name]!r}, as in the run that goes on in {str(self.folder)!r}, got {value!r} – "
                    "name another folder for another training."
                )
        return checkpoint

    def _keep_metrics(self, step: int) -> None:
        """Remove the metrics that a killed process wrote after its last checkpoint; they will be measured again."""
        unfinished = self.unfinished and self.unfinished["epoch"]
        kept = [
            json.dumps(line) + "\n"
            for line in self._lines()
            if line["step"] <= step and (unfinished is None or line.get("epoch") != unfinished)
        ]
        with replacing(self.folder / METRICS) as file:
            file.writelines(line.encode() for line in kept)

    def _lines(self) -> list[dict[str, Any]]:
        path = self.folder / METRICS
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""  # a kill may cut the last line
        return [json.loads(line) for line in whole.splitlines()]


def _write(path: Path, save: Callable[[io.BytesIO], object]) -> None:
    """Write what ``save`` does. It writes to memory first: on a full disk, torch's own writer hides the reason behind another error."""
    whole = io.BytesIO()
    save(whole)
    with replacing(path, sync=True) as file:
        file.write(whole.getbuffer())


def _tensorboard(folder: Path, step: int) -> "TensorBoard":
    # TensorBoard is an optional extra.
    from foveal.tools.training._tensorboard import TensorBoard  # noqa: PLC0415

    return TensorBoard(folder, step)
