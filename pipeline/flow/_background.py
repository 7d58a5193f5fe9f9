"""Run an iterator in a thread, a bounded number of items ahead of its consumer.

The loader is a chain of generators (read, decode, zoom). A generator that is wrapped in :class:`Background` runs at the
same time as the next one. However the chain ends (its end, an error, a ``break``, garbage collection or the end of the
process), the generator is closed in the thread that ran it, so that its unfinished work is completed there.
"""

import atexit
import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, Self, TypeVar

from foveal.sampler.threads import let_forks_wait, spread_over, use_one_torch_thread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    """The last item of the queue: the iterator has ended, with an error or without."""

    error: BaseException | None = None


def refuse_fork_of(process: int) -> None:
    """Raise an error if this is not the process that began an epoch.

    Raises:
        RuntimeError: This process is a fork of it.
    """
    if process != os.getpid():
        raise RuntimeError(
            "an epoch must be iterated in the process that began it, got a fork of it – begin another one here."
        )


class Background(Iterator[T], Generic[T]):
    """An iterator's items in their order, produced in a separate thread.

    Args:
        items: The iterator. A generator is closed when this object is.
        ahead: Number of items that may be ready and waiting, at least 1.
        name: The thread's name, for debuggers and profilers.
        kernels: Number of threads for sampling that is called from this thread; torch's operators use only this one.
        hurry: Called when this is closed, to stop the iterator's waiting.
    """

    def __init__(
        self,
        items: Iterator[T],
        *,
        ahead: int,
        name: str,
        kernels: int = 1,
        hurry: Callable[[], object] | None = None,
    ) -> None:
        self._process = os.getpid()
        self._hurry = hurry
        self._belt: _Belt[T] = _Belt(ahead)
        self._thread = threading.Thread(
            target=_produce, args=(items, self._belt, kernels), name=name, daemon=True
        )
        self._thread.start()
        _close_all_at_exit()
        _running[:] = [other for other in _running if other() is not None] + [weakref.ref(self)]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        refuse_fork_of(self._process)
        item = self._belt.take()
        if not isinstance(item, _End):
            return item
        self.close()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """Stop producing, complete unfinished work and end the thread. It may be called again, and interrupted."""
        # In a forked process: the thread does not exist, and the lock may be held for ever.
        if self._process != os.getpid():
            return
        self._belt.stop()
        self.hurry()
        # If this was garbage-collected in that thread, the thread ends by itself.
        if self._thread is not threading.current_thread():
            _join(self._thread)
            self._belt.stop()  # items that were added in the meantime

    def hurry(self) -> None:
        """Stop the iterator's waiting, if there is a way to."""
        if self._hurry is not None and self._process == os.getpid() and not self._belt.is_ended:
            self._hurry()

    def __del__(self) -> None:
        if not hasattr(self, "_thread"):
            return
        if self._thread.ident is not None:
            self.close()
        elif self._process == os.getpid():
            self._belt.stop()  # Ctrl-C came while it was being started: it ends by itself, if there is one


# Not a WeakSet, whose callbacks would swallow Ctrl-C.
_running: "list[weakref.ref[Background[Any]]]" = []


@functools.cache
def _close_all_at_exit() -> None:
    """At the end of the process, complete all unfinished work before the libraries that it uses end their threads.

    Called after the first thread has begun, because exit handlers that are registered last run first.
    """
    atexit.register(_close_all)


def _close_all() -> None:
    # One that waits for another's server must not be first.
    running = [background for other in _running if (background := other()) is not None]
    for background in running:
        background.hurry()
    for background in running:
        background.close()


def _join(thread: threading.Thread) -> None:
    """Wait until a thread has ended, also if others do so at the same time.

    Python before 3.13 may then raise an error in one of them, of a lock that is locked or is not; but the thread has ended.
    """
    with contextlib.suppress(AssertionError, RuntimeError):
        thread.join()


class _Belt(Generic[T]):
    """Passes items from one thread to another through a bounded queue. Stopping it wakes both threads.

    It is made of simple queues, which either take an item or raise KeyboardInterrupt: a Python lock that Ctrl-C
    interrupts at the wrong moment would never be released.
    """

    def __init__(self, room: int) -> None:
        self._room: SimpleQueue[None] = SimpleQueue()
        self._items: SimpleQueue[T | _End] = SimpleQueue()
        self._stopped = False
        self.is_ended = False
        for _ in range(room):
            self._room.put(None)

    def put(self, item: T) -> bool:
        """Wait for room and add an item; return False if the consumer has stopped."""
        self._room.get()
        if not self._stopped:
            self._items.put(item)
        return not self._stopped

    def end(self, error: BaseException | None) -> None:
        """Add the end, for which there is always room."""
        self.is_ended = True
        self._items.put(_End(error))

    def take(self) -> T | _End:
        """Wait for an item, or the end."""
        item = self._items.get()
        if self._stopped:
            self._items.put(_End())  # for the next call
            return _End()
        self._room.put(None)
        return item

    def stop(self) -> None:
        """Discard the items, and wake both threads."""
        self._stopped = True
        with contextlib.suppress(Empty):
            while True:
                self._items.get_nowait()
        self._items.put(_End())
        self._room.put(None)


def _produce(items: Iterator[T], belt: _Belt[T], kernels: int) -> None:
    error: BaseException | None = None
    try:  # all of it: a consumer would wait for ever for the end of a thread that ended otherwise
        let_forks_wait()
        use_one_torch_thread()
        spread_over(kernels)
        for item in items:
            wanted = belt.put(item)
            del item  # an item that was passed on belongs to the consumer: no reference to a decoded image may stay here
            if not wanted:
                break
    except BaseException as caught:  # noqa: BLE001 - handed to the consumer, whatever it is
        error = caught
    finally:
        close = getattr(items, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as caught:  # noqa: BLE001 - likewise
            error = error or caught
        belt.end(error)
