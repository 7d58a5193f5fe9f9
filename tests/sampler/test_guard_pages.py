"""The kernels read nothing but the image."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "tests.sampler.guard_pages", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_byte_beside_an_image_is_read():
    """Of 400 images of all small sizes, with any grid: a page before them, and one behind, must not be read."""
    ended = run("400")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "400 images\n"


def test_reading_beyond_is_noticed():
    """One byte behind the image ends the process."""
    assert run("1", "beyond").returncode == -signal.SIGSEGV
