"""Writes the metrics and pictures of a training for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard.writer import SummaryWriter

from foveal.shards.store import errors_name

# They only say where a value belongs, and are not drawn as curves.
_PLACES = {"step", "epoch", "teach_epoch"}


class TensorBoard:
    """Writes event files, which ``tensorboard --logdir`` shows. If they cannot be written, errors name their folder.

    Args:
        folder: The folder of the run.
        step: The step that the run continues from: later ones, of a process that was killed, are hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        # Events of this very step were written before the run continued.
        with errors_name(folder):
            self._writer = SummaryWriter(folder, purge_step=step + 1 if step else None)

    def log(self, kind: str, values: Mapping[str, Any]) -> None:
        """Add a point to a curve for each value of a line of ``metrics.jsonl``; curves are grouped by the kind of line."""
        step = values.get("teach_epoch", values["step"])
        with errors_name(self._folder):
            for name in values.keys() - _PLACES:
                self._writer.add_scalar(f"{kind}/{name}", values[name], step)
            self._writer.flush()

    def show(self, name: str, path: Path, step: int) -> None:
        """Add a picture from a file."""
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        with errors_name(self._folder):
            self._writer.add_image(name, pixels, step, dataformats="HWC")
            self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        with errors_name(self._folder):
            self._writer.close()
