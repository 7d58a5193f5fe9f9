"""Writes the metrics and pictures of a training for TensorBoard."""

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from foveal.shards.store import errors_name

# They only say where a value belongs, and are not drawn as curves.
_PLACES = {"step", "epoch", "teach_epoch"}


class TensorBoard:
    """Writes an event file, which ``tensorboard --logdir`` shows. If it cannot be written, errors name it.

    Events are written by the thread that logs them: TensorBoard's own writer has a thread for that, which prints a traceback if the disk is full.

    Args:
        folder: The folder of the run.
        step: The step that the run continues from: later ones, of a process that was killed, are hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        # TensorBoard reads the files of a folder in the order of their names.
        self._path = folder / f"events.out.tfevents.{time.time_ns()}"
        events = [Event(file_version="brain.Event:2")]
        if step:  # events of this very step were written before the run continued
            events.append(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))
        self._write(events)

    def log(self, kind: str, values: Mapping[str, Any]) -> None:
        """Add a point to a curve for each value of a line of ``metrics.jsonl``; curves are grouped by the kind of line."""
        step = values.get("teach_epoch", values["step"])
        points = [
            Summary.Value(tag=f"{kind}/{name}", simple_value=values[name]) for name in values.keys() - _PLACES
        ]
        self._write([Event(step=step, summary=Summary(value=points))])

    def show(self, name: str, path: Path, step: int) -> None:
        """Add a picture from a file."""
        with Image.open(path) as picture:
            (width, height), bands = picture.size, len(picture.getbands())
        image = Summary.Image(
            height=height, width=width, colorspace=bands, encoded_image_string=path.read_bytes()
        )
        self._write([Event(step=step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))])

    def _write(self, events: Sequence[Event]) -> None:
        whole = io.BytesIO()
        for event in events:
            event.wall_time = time.time()
            RecordWriter(whole).write(event.SerializeToString())
        with errors_name(self._path), self._path.open("ab") as file:
            file.write(whole.getbuffer())
