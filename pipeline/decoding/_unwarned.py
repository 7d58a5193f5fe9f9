"""Ignores Pillow's warnings in one thread.

``warnings.catch_warnings`` changes the whole process: if two threads overlap in it, or a thread and a training script, the
one that leaves last puts back the other's filters and recorder for good. numba enters it, too, whenever it compiles a kernel.
"""

import contextlib
import threading
import warnings
from collections.abc import Iterator

_here = threading.local()
# Only what Pillow warns of, here or in its caller's name.
_MODULES = r"PIL\.|foveal\.pipeline\.decoding\."


class _InThisThread(type):
    """Makes every category of warnings a subclass, for threads that ignore warnings."""

    def __subclasscheck__(cls, category: type) -> bool:
        return getattr(_here, "ignores", False)


class _Ignored(Warning, metaclass=_InThisThread):
    """The category of a filter that stays in the process, and says nothing to other threads."""


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Ignore warnings of Pillow in this thread.

    Another thread that puts back earlier filters at the same time may take the filter away: a warning may still be raised.
    """
    warnings.filterwarnings("ignore", category=_Ignored, module=_MODULES)
    _here.ignores = True
    try:
        yield
    finally:
        _here.ignores = False
