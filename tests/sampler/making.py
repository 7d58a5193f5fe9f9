"""Runs code in fresh interpreters, lets waiting for a device raise, and reads versions."""

import subprocess
import sys
import textwrap
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

from tests.time_limits import HANGS_AFTER_S


def run_in(folder, code):
    """Run code in a fresh interpreter, in a folder; it must not fail."""
    source = Path(__file__).parents[2] / "src"
    lines = f"import sys; sys.path.insert(0, {str(source)!r})\n{textwrap.dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-c", lines],
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def waiting_raises():
    """Let torch raise where it would wait for a CUDA device."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # "is a prototype feature"
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def numbers_of(version):
    """Return the first two numbers of a version."""
    return tuple(map(int, version.split(".")[:2]))
