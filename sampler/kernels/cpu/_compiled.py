"""Compiles the CPU kernels of this package. No other module imports numba, which happens on the first CPU call.

Compiled kernels are kept on disk. numba itself compiles a kernel anew if the kernel's own file has changed, but not if a
function in another file has that the kernel calls. So here a kernel is compiled anew if any file of kernels has changed.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.event import Event, Listener, register

_LOG = logging.getLogger("foveal")


def stamp_of(files: Iterable[Path]) -> str:
    """Return a hash of the names and contents of files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()


# The kernels, and the constants that they share with those of other devices.
SOURCES = (*Path(__file__).parent.glob("*.py"), *Path(__file__).parents[1].glob("*.py"))
_STAMP = stamp_of(SOURCES)


class _KernelCache(FunctionCache):
    """numba's cache of one kernel on disk, which is valid for one state of all kernels' files."""

    def __init__(self, kernel: Callable[..., None]) -> None:
        super().__init__(kernel)  # type: ignore[no-untyped-call]
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, _STAMP)  # type: ignore[no-untyped-call]


def compiled(kernel: Callable[..., None]) -> Callable[..., None]:
    """Compile on first use, for each type of arguments; without the interpreter's lock; kept on disk if possible."""
    dispatcher = numba.njit(kernel, nogil=True, error_model="numpy")
    # Without a folder that can be written (a read-only installation and no home), compile in every process.
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = _KernelCache(kernel)  # noqa: SLF001 - where enable_caching() puts it
    return dispatcher  # type: ignore[no-any-return]


class _Announce(Listener):
    """Logs which kernel is being compiled, because a first batch waits for it. Loading one from disk is not logged.

    Compiling a kernel also compiles the functions that it calls; only the outermost one is named.
    """

    def __init__(self) -> None:
        self._begun: list[float] = []
        self._explained = False

    def on_start(self, event: Event) -> None:
        """Log the name of the kernel, and before the first one the reason."""
        kernel = event.data["dispatcher"]
        if not _is_ours(kernel):
            return
        self._begun.append(time.perf_counter())
        if len(self._begun) > 1:
            return
        if not self._explained:
            self._explained = True
            _LOG.warning(_explanation(kernel.stats.cache_path))
        _LOG.warning("Compiling %s ...", kernel.__name__)

    def on_end(self, event: Event) -> None:
        """Log how long it took, at the level INFO."""
        kernel = event.data["dispatcher"]
        if not _is_ours(kernel):
            return
        seconds = time.perf_counter() - self._begun.pop()
        if not self._begun:
            what = {"kernel": kernel.__name__, "seconds": seconds, "folder": kernel.stats.cache_path}
            _LOG.info("Compiled %s in %.1f s.", kernel.__name__, seconds, extra=what)


def _is_ours(kernel: Any) -> bool:
    return str(kernel.__module__).startswith("foveal.")


def _explanation(folder: str | None) -> str:
    if folder is None:
        return (
            "Foveal compiles its CPU kernels for this machine, some 10 seconds in each process: no folder is writable in which "
            "to keep them – name one by the environment variable NUMBA_CACHE_DIR."
        )
    return (
        f"Foveal compiles its CPU kernels for this machine, some 10 seconds once, and keeps them in {folder}; "
        "`foveal doctor --warm` does so ahead."
    )


register("numba:compile", _Announce())  # type: ignore[no-untyped-call]
