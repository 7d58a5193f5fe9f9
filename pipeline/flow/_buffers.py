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

# What decoded images take in memory for each thread that decodes, unless one alone is larger: the pixels of 25 megapixels.
IMAGE_BYTES = 75_000_000


class Buffers:
    """Hands out memory, and takes it back when it is not referred to any more. Any number of threads may ask.

    What came back is noticed when memory is asked for. It is not told of by a callback: Ctrl-C at the moment of a callback
    would be lost, since Python can raise nothing there.

    Args:
        most: Bytes that are lent and kept for later together, unless more than that are lent.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._lent: list[tuple[weakref.ref[Bytes], Bytes]] = []
        self._spare: list[Bytes] = []

    @property
    def held(self) -> int:
        """Bytes that are lent or kept."""
        with self._lock:
            self._collect()
            return self._size

    def take(self, size: int) -> Bytes:
        """Return so many bytes, of any content. They come back when nothing refers to them, nor to a view of them."""
        if self._process != os.getpid():  # a fork, in which the lock may be held for ever
            self._begin()
        with self._lock:
            self._collect()
            fitting = [k for k, buffer in enumerate(self._spare) if size <= buffer.size <= 2 * size]
            smallest = min(fitting, key=lambda k: self._spare[k].size, default=None)
            whole = np.empty(size, np.uint8) if smallest is None else self._spare.pop(smallest)
            # A view's base is the array that its memory came from, which is this one, not `whole`: nobody else has that.
            lent = np.frombuffer(whole.data[:size], np.uint8)
            self._lent.append((weakref.ref(lent), whole))
            self._let_go()
        return lent

    def clear(self) -> None:
        """Give what is kept for later back to the system, and what is lent when it is not referred to any more."""
        with self._lock:
            self._lent.clear()
            self._spare.clear()

    @property
    def _size(self) -> int:
        return sum(buffer.size for buffer in self._spare) + sum(buffer.size for _, buffer in self._lent)

    def _collect(self) -> None:
        """Take back what is not referred to any more."""
        lent, self._lent = self._lent, []
        for loan in lent:
            if loan[0]() is None:
                self._spare.append(loan[1])
            else:
                self._lent.append(loan)
        self._let_go()

    def _let_go(self) -> None:
        """Give what has not been used for longest back to the system, as far as there is too much."""
        while self._spare and self._size > self._most:
            self._spare.pop(0)
