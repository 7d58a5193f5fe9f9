"""``foveal doctor --warm``: compile the kernels that a first batch would wait for, for each device of this machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rich.console import Console

from foveal.sampler import SaliencySampler, UniformSampler, invert_grid

_LOG = logging.getLogger("foveal")


class _Compiled(logging.Handler):
    """Collects the messages about kernels that are compiled.

    Attributes:
        seconds: How long the kernels for each purpose took.
        folder: Where compiled kernels are kept; None if they are not kept.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seconds: dict[str, float] = {}
        self.folder: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Note a kernel that has been compiled, and ignore other messages."""
        facts = vars(record)
        if "purpose" in facts:
            purpose = facts["purpose"]
            self.seconds[purpose] = self.seconds.get(purpose, 0) + facts["seconds"]
            self.folder = facts["folder"]


def warm() -> dict[str, float]:
    """Compile all kernels that are not on disk yet, and print what they are for.

    Returns:
        Seconds that the CPU kernels for each purpose took; empty if all were on disk.
    """
    with _listening() as compiled:
        for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
            _zoom_once(torch.device(device))
    Console().print(_report(compiled), soft_wrap=True, markup=False, highlight=False)
    return compiled.seconds


def _zoom_once(device: torch.device) -> None:
    """Call each kernel, forward and backward, with each set of argument types that it is compiled for, but those in float64."""
    images = [torch.zeros((300, 400, 3), dtype=torch.uint8, device=device)]
    dense = torch.zeros((1, 3, 60, 80), device=device)
    for antialias in (True, False):
        # Bounded, as it is by default: the bounds have a kernel, too.
        zoom = SaliencySampler(32, lowres_size=(32, 32), antialias=antialias).to(device)
        zoom(images).images.sum().backward()
        with torch.no_grad():
            invert_grid(zoom(images).grid, (32, 32))
        # torch makes the copy of images that need a gradient.
        for layer in (dense, dense.clone().requires_grad_()):
            zoom(layer).images.sum().backward()
    UniformSampler(32)(images)  # grids whose rows and columns are alike have a kernel of their own


@contextmanager
def _listening() -> Iterator[_Compiled]:
    """Collect the messages about compiled kernels instead of printing them line by line."""
    compiled, level, propagates = _Compiled(), _LOG.level, _LOG.propagate
    _LOG.addHandler(compiled)
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False
    try:
        yield compiled
    finally:
        _LOG.removeHandler(compiled)
        _LOG.setLevel(level)
        _LOG.propagate = propagates


def _report(compiled: _Compiled) -> str:
    if not compiled.seconds:
        return "All CPU kernels are compiled already."
    each = ", ".join(f"{purpose} in {seconds:.1f} s" for purpose, seconds in compiled.seconds.items())
    kept = (
        f"They are kept in {compiled.folder}."
        if compiled.folder
        else ("They could not be kept: name a writable folder by the environment variable NUMBA_CACHE_DIR.")
    )
    return f"Compiled kernels for {each}. {kept}"
