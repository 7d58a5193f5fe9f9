"""The kernels read no memory outside of an image."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "tests.sampler.guard_pages", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_byte_beside_an_image_is_read():
    """With unreadable pages before or after the image, 400 images of small sizes are sampled."""
    ended = run("400")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "400 images\n"


def test_reading_beyond_is_noticed():
    """Reading one byte after the image ends the process."""
    assert run("1", "beyond").returncode == -signal.SIGSEGV
