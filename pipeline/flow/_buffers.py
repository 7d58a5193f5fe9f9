"""Reusable memory for decoded images.

New memory has to be mapped by the system page by page while the decoder writes, which halves its speed. Therefore a
buffer is returned here when the last tensor that refers to it is freed, and the next image is written into it. Loaders that
exist at the same time share their memory: when one takes the place of another, as for each shard that is zoomed offline,
nothing has to be mapped again.
"""

import os
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# Memory of decoded images for each thread that decodes, unless one image alone is larger: 25 megapixels.
IMAGE_BYTES = 75_000_000


class Buffers:
    """Lends memory, and takes it back when it is no longer referenced. Any number of threads may use it.

    Returned memory is found when memory is next requested. There is no callback, because Ctrl-C during a callback would
    be lost: Python cannot raise there.

    Args:
        most: Limit of lent and kept bytes together, unless more are lent.
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
        """Return a number of bytes with any content. They are taken back when neither they nor a view of them is referenced."""
        if self._process != os.getpid():  # in a forked process, the lock may be held for ever
            self._begin()
        with self._lock:
            self._collect()
            fitting = [k for k, buffer in enumerate(self._spare) if size <= buffer.size <= 2 * size]
            smallest = min(fitting, key=lambda k: self._spare[k].size, default=None)
            whole = np.empty(size, np.uint8) if smallest is None else self._spare.pop(smallest)
            # The base of a view is the array that its memory came from: this one, not `whole`, which nothing else refers to.
            lent = np.frombuffer(whole.data[:size], np.uint8)
            self._lent.append((weakref.ref(lent), whole))
            self._let_go()
        return lent

    def clear(self) -> None:
        """Free the kept memory now, and the lent memory as soon as it is no longer referenced."""
        with self._lock:
            self._lent.clear()
            self._spare.clear()

    @property
    def _size(self) -> int:
        return sum(buffer.size for buffer in self._spare) + sum(buffer.size for _, buffer in self._lent)

    def _collect(self) -> None:
        """Take back memory that is no longer referenced."""
        lent, self._lent = self._lent, []
        for loan in lent:
            if loan[0]() is None:
                self._spare.append(loan[1])
            else:
                self._lent.append(loan)
        self._let_go()

    def _let_go(self) -> None:
        """Free the memory that has not been used for the longest time, until the limit holds."""
        while self._spare and self._size > self._most:
            self._spare.pop(0)


_shared: "weakref.WeakValueDictionary[int, Buffers]" = weakref.WeakValueDictionary()


def shared_buffers(most: int) -> Buffers:
    """Return the memory that all callers with this limit share, as long as one of them refers to it."""
    return _shared.setdefault(most, Buffers(most))
