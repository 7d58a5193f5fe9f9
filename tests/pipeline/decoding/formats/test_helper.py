"""What goes wrong in the helper process does not affect this process."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from foveal.pipeline import decode, peek
from foveal.pipeline.decoding.formats import FormatError, _helper, close_helpers, decode_by_helper
from foveal.pipeline.decoding.headers import JPEG_XL, TIFF
from tests.pipeline.decoding.tiff_layouts import ramps, written

PIXELS = ramps("uint16", 3)
[LAYOUT] = written("x", PIXELS, photometric="rgb", compression="jpegxl")


def right(file: bytes = LAYOUT.file) -> bool:
    samples = decode_by_helper(TIFF, file, PIXELS.shape[:2], 6, None)
    return np.array_equal(samples.values, PIXELS)


def test_a_helper_serves_again():
    """One helper process decodes one file after another."""
    close_helpers()
    assert right()
    [first] = _helper._idle
    assert right()
    assert _helper._idle == [first]


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (signal.SIGSEGV, "the decoder ended: exit status -11"),
        (signal.SIGXCPU, "the decoder ended: it took more than 60 s"),
        (signal.SIGKILL, "the decoder ended: it was killed, as for too much memory"),
    ],
)
def test_one_that_ends_costs_its_file_alone(monkeypatch, ended, reason):
    """If a helper crashes or runs out of time, its file is bad and the next file gets a new helper."""
    close_helpers()
    take = _helper._take

    def taken():
        helper = take()
        helper.send_signal(ended)
        helper.wait()
        return helper

    monkeypatch.setattr(_helper, "_take", taken)
    with pytest.raises(FormatError, match=reason):
        right()
    monkeypatch.undo()
    assert right()


def test_its_time_is_bounded():
    """The system ends a helper that computes for longer than it is allowed."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import _worker; _worker._limit(1 << 30, 0)\n"
        "while True: pass"
    )
    folder = str(Path(_helper.__file__).parent)
    run = subprocess.run([sys.executable, "-c", code, folder], check=False, timeout=60)

    assert run.returncode == -signal.SIGXCPU


def test_memory_is_bounded(monkeypatch):
    """A helper may take as much memory as the header explains, and no more."""
    monkeypatch.setattr(_helper, "_ROOM", 1 << 20)
    monkeypatch.setattr(_helper, "_COPIES", 0)
    close_helpers()
    blank = np.zeros((6000, 6000, 1), np.uint8)
    [layout] = written("x", blank, photometric="minisblack", compression="zlib")

    with pytest.raises(FormatError, match=r"it takes more memory than its header explains|the decoder ended"):
        decode_by_helper(TIFF, layout.file, (6000, 6000), 1, None)


def test_a_header_that_lies():
    """A file that decodes to another number of pixels than its header says is refused."""
    with pytest.raises(FormatError, match="it has 24 × 40 pixels, and its header says 24 × 41"):
        decode_by_helper(TIFF, LAYOUT.file, (24, 41), 6, None)
    with pytest.raises(FormatError):
        decode_by_helper(JPEG_XL, LAYOUT.file, (24, 40), 6, None)


def test_a_fork_starts_its_own():
    """A forked process starts helpers of its own, because it must not read its parent's results."""
    assert right()
    child = os.fork()
    if child == 0:
        os._exit(0 if not _helper._idle or right() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert right()


def test_threads_wait_for_nobody():
    """Each thread has a helper of its own."""
    wrong = []
    threads = [threading.Thread(target=lambda: right() or wrong.append(1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_bad_files_are_bad_images():
    """The reason of a bad image is the library's message."""
    from foveal.pipeline import DecodeError

    torn = LAYOUT.file[:-200] + bytes(200)
    assert peek(torn).by == "helper"
    with pytest.raises(DecodeError, match="image 0 is broken: tifffile says '"):
        decode([torn])
