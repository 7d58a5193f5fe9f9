"""Lets one process do what others would do at the same time, while they wait."""

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO

# Seconds after which the other process must be compiling; those that have waited for it then load its kernel in hundredths.
_SOON = 1.0
_STEP = 0.02

if sys.platform == "win32":

    def lock(
        file: Path, waiting: Callable[[], object], *, shared: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        """Do nothing: there is no such lock, and each process does the work."""
        del file, waiting, shared
        return contextlib.nullcontext()

else:
    import fcntl

    @contextlib.contextmanager
    def lock(file: Path, waiting: Callable[[], object], *, shared: bool = False) -> Generator[None]:
        """Be the only process in a block that names this file; other threads of this process are not kept out.

        Where the file cannot be written or locked, nobody waits. A process that ends, or is killed, lets the next one in.

        Args:
            file: The file, which is made; it stays empty.
            waiting: Called once if another process is in the block, and stays longer than it takes to find a kernel on disk.
            shared: Whether other processes may be in blocks that are shared as well.
        """
        with contextlib.ExitStack() as opened:
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                # A lock of POSIX: a child process does not inherit it, as one of flock(). A shared one needs a file open for reading.
                handle = opened.enter_context(file.open("w+"))
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                try:
                    fcntl.lockf(handle, kind | fcntl.LOCK_NB)
                except BlockingIOError:
                    _wait(handle, kind, waiting)
            yield

    def _wait(handle: IO[str], kind: int, waiting: Callable[[], object]) -> None:
        deadline = time.monotonic() + _SOON
        while time.monotonic() < deadline:
            time.sleep(_STEP)
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(handle, kind | fcntl.LOCK_NB)
                return
        waiting()
        fcntl.lockf(handle, kind)
