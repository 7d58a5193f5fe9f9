"""Writes the metrics and pictures of a training for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard.writer import SummaryWriter

# They only say where a value belongs, and are not drawn as curves.
_PLACES = {"step", "epoch", "teach_epoch"}


class TensorBoard:
    """Writes event files, which ``tensorboard --logdir`` shows.

    Args:
        folder: The folder of the run.
        step: The step that the run continues from: later ones, of a process that was killed, are hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        # Events of this very step were written before the run continued.
        self._writer = SummaryWriter(folder, purge_step=step + 1 if step else None)

    def log(self, kind: str, values: Mapping[str, Any]) -> None:
        """Add a point to a curve for each value of a line of ``metrics.jsonl``; curves are grouped by the kind of line."""
        step = values.get("teach_epoch", values["step"])
        for name in values.keys() - _PLACES:
            self._writer.add_scalar(f"{kind}/{name}", values[name], step)
        self._writer.flush()

    def show(self, name: str, path: Path, step: int) -> None:
        """Add a picture from a file."""
        with Image.open(path) as picture:
            self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
