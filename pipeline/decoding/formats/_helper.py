"""Decoding in helper processes: if a file makes a codec crash, hang or take too much memory, only that file is lost.

Helpers are started when they are first needed, one for each thread that decodes at the same time, and kept. They end with
this process. A forked process starts its own.
"""

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from foveal.pipeline.decoding.formats._samples import Samples
from foveal.pipeline.decoding.formats._wire import receive, send
from foveal.pipeline.decoding.headers import Kind

_WORKER = Path(__file__).with_name("_worker.py")
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TIFFFILE_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}
_SECONDS, _PIXELS_A_SECOND = 60, 1_000_000
# Memory that a codec may allocate besides the samples themselves: several copies, and tables.
_COPIES, _ROOM = 8, 1 << 30


class FormatError(Exception):
    """A file that a helper could not decode. Its text is the library's message."""


class FormatRefusedError(FormatError):
    """A valid file that cannot be shown as it is asked to be. Its text is a predicate, such as "has 2 bands, ..."."""


@functools.cache  # called for each file
def missing(kind: Kind) -> tuple[str, ...]:
    """Return the modules that a format needs and that are not installed."""
    return tuple(name for name in kind.needs if importlib.util.find_spec(name) is None)


def describe_formats() -> str:
    """Return the installed versions of the second decoder's libraries: other versions may round differently."""
    names = ("imagecodecs", "pillow-heif", "pydicom", "pylibjpeg", "tifffile")
    found = []
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def size_by_helper(kind: Kind, file: bytes) -> tuple[int, int, int, int]:
    """Return height, width, bytes of a pixel, and bits of a sample, from the header.

    Raises:
        FormatError: The library does not find them.
    """
    facts, _ = _ask({"what": "size", "kind": kind.name, "bands": None}, file, 0, 0)
    height, width, pixel_bytes, bits = map(int, facts["size"])
    return height, width, pixel_bytes, bits


def profile_by_helper(kind: Kind, file: bytes) -> bytes:
    """Return the colour profile of a file; empty if it has none.

    Raises:
        FormatError: The library cannot read the file.
    """
    return bytes(_ask({"what": "profile", "kind": kind.name}, file, len(file), 1)[1])


def decode_by_helper(
    kind: Kind,
    file: bytes,
    size: tuple[int, int],
    pixel_bytes: int,
    bands: tuple[int, ...] | None,
    *,
    shown: bool = True,
) -> Samples:
    """Decode a file in a helper.

    Args:
        kind: Its format.
        file: All of it.
        size: Height and width by its header, in either order, because it may be rotated by 90 degrees.
        pixel_bytes: Bytes of a stored pixel.
        bands: The bands to return; None for the first three, or the first.
        shown: Whether to apply the file's own display settings, if they are more than a window.

    Raises:
        FormatError: The library refuses it, has other pixels than its header says, crashes, hangs or takes too much memory.
    """
    request = {"what": "samples", "kind": kind.name, "bands": bands, "shown": shown}
    facts, content = _ask(request, file, size[0] * size[1], pixel_bytes)
    shape, dtype = tuple(map(int, facts.pop("shape"))), np.dtype(facts.pop("dtype"))
    if (
        sorted(shape[:2]) != sorted(size)
        or len(shape) != 3
        or len(content) != dtype.itemsize * np.prod(shape)
    ):
        raise FormatError(f"it has {shape[0]} × {shape[1]} pixels, and its header says {size[0]} × {size[1]}")
    window = facts.pop("window")
    values = np.frombuffer(content, dtype).reshape(shape)
    return Samples(values, window=None if window is None else (window[0], window[1]), **facts)


def _ask(
    request: dict[str, Any], file: bytes, pixels: int, pixel_bytes: int
) -> tuple[dict[str, Any], bytearray]:
    samples = pixels * max(pixel_bytes, 8)
    seconds = _SECONDS + pixels // _PIXELS_A_SECOND
    limits = {"most_bytes": _ROOM + _COPIES * samples + 4 * len(file), "seconds": seconds}
    helper = _take()
    try:
        requests, answers = cast("IO[bytes]", helper.stdin), cast("IO[bytes]", helper.stdout)
        send(requests, request | limits, file)
        if not select.select([answers], [], [], 4 * seconds)[0]:
            helper.kill()
        facts, content = receive(answers, 2 * samples)
    except (EOFError, OSError, ValueError):
        raise FormatError(f"the decoder ended: {_cause(_end(helper), seconds)}") from None
    except BaseException:  # Ctrl-C: otherwise the answer would be read as that of the next request
        _end(helper)
        raise
    _put_back(helper)
    if "refused" in facts:
        raise FormatRefusedError(facts["refused"])
    if "fault" in facts:
        raise FormatError(facts["fault"])
    return facts, content


def _end(helper: subprocess.Popen[bytes]) -> int:
    """End a helper, and return its exit status."""
    helper.kill()
    for pipe in (helper.stdin, helper.stdout):
        with contextlib.suppress(OSError):  # data that could not be written to a helper that has ended
            cast("IO[bytes]", pipe).close()
    return helper.wait()


def _cause(status: int, seconds: int) -> str:
    if status == -signal.SIGXCPU:
        return f"it took more than {seconds} s"
    return "it was killed, as for too much memory" if status == -signal.SIGKILL else f"exit status {status}"


_lock = threading.Lock()
_idle: list[subprocess.Popen[bytes]] = []
_process = os.getpid()


def _take() -> subprocess.Popen[bytes]:
    global _process  # noqa: PLW0603 - helpers are this process's
    with _lock:
        if _process != os.getpid():  # in a forked process: these helpers belong to the parent
            _process = os.getpid()
            _idle.clear()
        if _idle:
            return _idle.pop()
    command = [sys.executable, "-I", str(_WORKER), json.dumps(sys.path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own interpreter and file
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=os.environ | _ONE_THREAD
    )


def _put_back(helper: subprocess.Popen[bytes]) -> None:
    with _lock:
        _idle.append(helper)


@atexit.register
def close_helpers() -> None:
    """End the idle helpers; new ones are started when they are needed."""
    with _lock:
        idle, _idle[:] = list(_idle), []
    for helper in idle if _process == os.getpid() else ():
        _end(helper)
