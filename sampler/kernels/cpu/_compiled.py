"""How this package compiles its CPU kernels; the only place that imports numba, on the first CPU call."""

import logging
import time
from collections.abc import Callable
from typing import Any

import numba
from numba.core.event import Event, Listener, register

_LOG = logging.getLogger("foveal")


def compiled(kernel: Callable[..., None]) -> Callable[..., None]:
    """Compile on first use, per type of argument; without the interpreter's lock; kept on disk where that is possible."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(kernel, cache=True, **options)  # type: ignore[no-any-return]
    except RuntimeError:  # a read-only installation and no writable home: compile in every process
        return numba.njit(kernel, **options)  # type: ignore[no-any-return]


class _Announce(Listener):
    """Says which kernel is being compiled, because a first batch waits for it. Loading one from disk is no event.

    A kernel compiles those that it calls; only the outermost one is named.
    """

    def __init__(self) -> None:
        self._begun: list[float] = []
        self._explained = False

    def on_start(self, event: Event) -> None:
        """Name the kernel, and before the first one say why."""
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
        """Say how long it took, to those who listen to that."""
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
