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
from numba.core.compiler_lock import global_compiler_lock
from numba.core.event import Event, Listener, register

from foveal.sampler.kernels._lock import lock

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


# The files are grouped by what a user waits for: some files only hold parts of a kernel.
_ANTIALIASED = "anti-aliased sampling"
_FLOATING = "images of floating-point numbers"
PURPOSES = {
    "_antialias": _ANTIALIASED,
    "_find": _ANTIALIASED,
    "_pull_back": "the gradient of anti-aliased sampling",
    "_points": "sampling without anti-aliasing",
    "_separable": "low-resolution copies and separable grids",
    "_tightest": "bounds on magnification",
    "_inverse": "the inverse of grids",
    "_dense": _FLOATING,
    "_resample": _FLOATING,
}
"""What the kernels in each file are for."""


class _KernelCache(FunctionCache):
    """numba's cache of one kernel on disk, which is valid for one state of all kernels' files."""

    def __init__(self, kernel: Callable[..., None]) -> None:
        super().__init__(kernel)  # type: ignore[no-untyped-call]
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, _STAMP)  # type: ignore[no-untyped-call]
        self.lock_file = Path(self._cache_path, f"{self._impl.filename_base}.lock")

    def has(self, signature: Any, target: Any) -> bool:
        """Return whether the kernel is on disk for a signature."""
        key = self._index_key(signature, target.codegen())  # type: ignore[no-untyped-call]
        with contextlib.suppress(OSError):
            data = self._cache_file._load_index().get(key)  # type: ignore[no-untyped-call]  # noqa: SLF001 - numba's load() reads the data
            return data is not None and Path(self._cache_path, data).exists()
        return False


def compiled(kernel: Callable[..., None]) -> Callable[..., None]:
    """Compile on first use, for each type of arguments; without the interpreter's lock; kept on disk if possible."""
    dispatcher = numba.njit(kernel, nogil=True, error_model="numpy")
    # Without a folder that can be written (a read-only installation and no home), compile in every process.
    with contextlib.suppress(RuntimeError):
        cache = _KernelCache(kernel)
        dispatcher._cache = cache  # noqa: SLF001 - where enable_caching() puts it
        dispatcher.compile = _in_one_process(dispatcher, cache)
    return dispatcher  # type: ignore[no-any-return]


def _in_one_process(dispatcher: Any, cache: _KernelCache) -> Callable[..., Any]:
    """Return the dispatcher's ``compile``, which finds on disk what another process compiles at the same time.

    The ranks of a training and the workers of a loader start at the same time, and want the same kernels. They load them
    together, but not while another process writes: it may give the name of a file of other sources to a new kernel.
    """
    compile_or_load = dispatcher.compile

    def compile_alone(signature: Any) -> Any:
        def announce() -> None:
            _ANNOUNCE.on_wait(dispatcher)

        # In this order: a thread that waits for numba's lock must not keep other processes waiting, who may hold what it needs.
        with global_compiler_lock:
            with lock(cache.lock_file, announce, shared=True):
                if cache.has(signature, dispatcher.targetctx):
                    return compile_or_load(signature)
            with lock(cache.lock_file, announce):
                return compile_or_load(signature)

    return compile_alone


class _Announce(Listener):
    """Logs what is being compiled, because a first batch waits for it. Loading a kernel from disk is not logged.

    Compiling a kernel also compiles the functions that it calls; only the outermost one is logged. Kernels with one purpose
    that are compiled one after the other are announced once; if more are compiled later, the line says "more".
    """

    def __init__(self) -> None:
        self._begun: list[float] = []
        self._announced: list[str] = []
        self._waited: set[str] = set()

    def on_start(self, event: Event) -> None:
        """Log the purpose of the kernel, and before the first one the reason."""
        kernel = event.data["dispatcher"]
        purpose = purpose_of(kernel)
        if purpose is None:
            return
        self._begun.append(time.perf_counter())
        if len(self._begun) > 1 or self._announced[-1:] == [purpose]:
            return
        if not self._announced:
            _LOG.warning(_explanation(kernel.stats.cache_path))
        more = "more " if purpose in self._announced else ""
        self._announced.append(purpose)
        _LOG.warning("Compiling %skernels for %s ...", more, purpose)

    def on_end(self, event: Event) -> None:
        """Log how long it took, at the level INFO."""
        kernel = event.data["dispatcher"]
        purpose = purpose_of(kernel)
        if purpose is None:
            return
        seconds = time.perf_counter() - self._begun.pop()
        if not self._begun:
            what = {"purpose": purpose, "seconds": seconds, "folder": kernel.stats.cache_path}
            _LOG.info("Compiled a kernel for %s in %.1f s.", purpose, seconds, extra=what)

    def on_wait(self, kernel: Any) -> None:
        """Log once for each purpose that another process compiles such kernels."""
        purpose = purpose_of(kernel)
        if purpose is not None and purpose not in self._waited:
            self._waited.add(purpose)
            _LOG.warning("Waiting for another process that compiles kernels for %s ...", purpose)


def purpose_of(kernel: Any) -> str | None:
    """Return what a kernel of this package is for, in words for users; None for functions from elsewhere."""
    room, _, file = str(kernel.__module__).rpartition(".")
    return PURPOSES.get(file) if room == __package__ else None


def _explanation(folder: str | None) -> str:
    if folder is None:
        return (
            "Foveal compiles its CPU kernels for this machine in each process, which takes about 20 seconds, because there is no "
            "writable folder in which to keep them – name one by the environment variable NUMBA_CACHE_DIR."
        )
    return (
        f"Foveal compiles its CPU kernels for this machine once, which takes about 20 seconds, and keeps them in {folder}; "
        "`foveal doctor --warm` does this ahead of time."
    )


_ANNOUNCE = _Announce()
register("numba:compile", _ANNOUNCE)  # type: ignore[no-untyped-call]
