"""Silence for codecs in C, which write to stderr about every odd image without naming it, bypassing Python."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_codecs() -> Iterator[None]:
    """Drop what C libraries write to stderr, but keep Python's own stderr. Use it only in processes that Foveal owns."""
    sys.stderr.flush()
    before, kept = sys.stderr, os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with open(kept, "w", buffering=1, closefd=False) as sys.stderr:
            os.dup2(nowhere, 2)
            yield
    finally:
        os.dup2(kept, 2)
        sys.stderr = before
        os.close(nowhere)
        os.close(kept)
