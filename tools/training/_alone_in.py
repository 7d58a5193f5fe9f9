"""One training at a time writes to a folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from foveal.shards.store import hold
from foveal.tools.training._ranks import Ranks


@contextlib.contextmanager
def alone_in(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Make a run's folder if it does not exist, and keep other trainings out of it, for as long as this process lives at most.

    The first rank does so, which alone writes.

    Raises:
        ValueError: Another training writes to it.
    """
    if ranks.rank > 0:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not hold(descriptor, folder):
            raise ValueError(
                f"out must be a folder that no other training writes to, got {str(folder)!r} – wait until that one has ended, or name "
                "another."
            )
        yield
    finally:
        os.close(descriptor)
