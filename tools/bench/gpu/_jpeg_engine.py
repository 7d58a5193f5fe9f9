"""How busy a GPU's JPEG engine is: nvJPEG uses it only where driver and machine offer it, and is much slower without."""

import shutil
import subprocess
from types import TracebackType
from typing import Self

import torch

_EVERY_MS = 200


class JpegEngine:
    """Watches the engine in the background, with ``nvidia-smi``. A context manager.

    Args:
        device: The device; on a CPU nothing is watched.

    Attributes:
        busiest: The highest use that was seen, in percent, known when the context ends; None if ``nvidia-smi`` does not say it.
    """

    def __init__(self, device: torch.device) -> None:
        self.busiest: int | None = None
        self._device = device
        self._watch: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("nvidia-smi")
        if program is not None and self._device.type == "cuda":
            asked = [
                f"--id={self._device.index or 0}",
                "--query-gpu=utilization.jpeg",
                "--format=csv,noheader,nounits",
            ]
            self._watch = subprocess.Popen(  # noqa: S603 - the driver's own tool
                [program, *asked, f"--loop-ms={_EVERY_MS}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is None:
            return
        self._watch.kill()  # nothing that it might wait for may hold up what is measured
        lines, _ = self._watch.communicate()
        self.busiest = max((int(line) for line in lines.split() if line.isdigit()), default=None)
