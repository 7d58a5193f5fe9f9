"""Memory that decoded images lie in, used again and again.

Memory that is fresh from the system has to be mapped page by page while the decoder writes, which costs half of its
speed. So a buffer comes back here when the last tensor that looks into it is gone, and the next image is
written into it.
"""

import os
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# What decoded images take in memory, all together: of large ones a micro-batch that is decoded, and one that is zoomed.
IMAGE_BYTES = 360_000_000


class Buffers:
    """Hands out memory, and takes it back by itself. Any number of threads may ask.

    Args:
        most: Bytes that are lent and kept for later together, unless more than that are lent.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()  # what comes back may be collected while this very thread asks
        self._spare: list[Bytes] = []
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are lent or kept."""
        return self._held

    def take(self, size: int) -> Bytes:
        """Return so many bytes, of any content. They come back when nothing refers to them, nor to a view of them."""
        if self._process != os.getpid():  # a fork, in which the lock may be held for ever
            self._begin()
        with self._lock:
            fitting = [k for k, buffer in enumerate(self._spare) if size <= buffer.size <= 2 * size]
            smallest = min(fitting, key=lambda k: self._spare[k].size, default=None)
            whole = self._allocate(size) if smallest is None else self._spare.pop(smallest)
        # A view's base is the array that its memory came from, which is this one, not `whole`: that is nobody's array.
        lent = np.frombuffer(whole.data[:size], np.uint8)
        weakref.finalize(lent, self._take_back, whole).atexit = False
        return lent

    def clear(self) -> None:
        """Give what is kept for later back to the system."""
        with self._lock:
            self._held -= sum(buffer.size for buffer in self._spare)
            self._spare.clear()

    def _allocate(self, size: int) -> Bytes:
        self._held += size
        self._let_go()
        return np.empty(size, np.uint8)

    def _take_back(self, whole: Bytes) -> None:
        with self._lock:
            self._spare.append(whole)
            self._let_go()

    def _let_go(self) -> None:
        """Give what has not been used for longest back to the system, as far as there is too much."""
        while self._spare and self._held > self._most:
            self._held -= self._spare.pop(0).size
