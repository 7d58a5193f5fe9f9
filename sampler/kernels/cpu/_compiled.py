"""How this package compiles its CPU kernels; the only place that imports numba, on the first CPU call."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(kernel: Callable[..., None]) -> Callable[..., None]:
    """Compile on first use, per type of argument; without the interpreter's lock; kept on disk where that is possible."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(kernel, cache=True, **options)  # type: ignore[no-any-return]
    except RuntimeError:  # a read-only installation and no writable home: compile in every process
        return numba.njit(kernel, **options)  # type: ignore[no-any-return]
