"""Run an iterator in a thread, a bounded number of items ahead of its consumer.

The loader is a chain of generators (read, decode, zoom); putting one of them behind
:class:`Background` is all it takes to let it run beside the next. Whatever ends the chain,
an end, an error, a ``break``, garbage collection or the end of the process, the generator is
closed in the thread that ran it, so that work in flight is drained there.
"""

import atexit
import functools
import queue
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from foveal.pipeline._one_thread import use_one_torch_thread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End:
    """The last item in the queue: the iterator ended, with an error or without."""

    error: BaseException | None


class Background(Iterator[T], Generic[T]):
    """An iterator's items in their order, produced in a thread of their own.

    Args:
        items: What to run. A generator is closed when this object is.
        ahead: How many items may be ready and waiting, at least 1.
        name: The thread's name, for debuggers and profilers.
    """

    def __init__(self, items: Iterator[T], *, ahead: int, name: str) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(ahead)
        self._stop = threading.Event()
        thread = threading.Thread(
            target=_produce, args=(items, self._queue, self._stop), name=name, daemon=True
        )
        self._close = weakref.finalize(self, _shut_down, thread, self._queue, self._stop)
        self._close.atexit = False  # those of the libraries that the generator uses would come first
        _close_all_at_exit()
        _running.add(self)
        thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._close.alive:
            raise StopIteration
        item = self._queue.get()
        if not isinstance(item, _End):
            return item
        self._close()
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """Stop producing, drain what is in flight and end the thread. May be called again."""
        self._close()


_running: "weakref.WeakSet[Background[Any]]" = weakref.WeakSet()


@functools.cache
def _close_all_at_exit() -> None:
    """Have what still runs at the end of the process drained, before the libraries that it uses end their threads.

    Called after the first finalizer was made, because what is registered last runs first.
    """
    atexit.register(_close_all)


def _close_all() -> None:
    for background in list(_running):
        background.close()


def _produce(items: Iterator[T], out: "queue.Queue[T | _End]", stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        use_one_torch_thread()
        for item in items:
            out.put(item)
            del item  # what was handed over belongs to the consumer: a decoded image must not linger here
            if stop.is_set():
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
        out.put(_End(error))


def _shut_down(thread: threading.Thread, out: "queue.Queue[T | _End]", stop: threading.Event) -> None:
    stop.set()
    if thread is threading.current_thread():  # collected as garbage there: it ends by itself
        _drain(out)
        return
    while thread.is_alive():  # a producer that waits for room gets it, sees the stop and ends
        _drain(out)
        thread.join(timeout=0.01)
    _drain(out)
    out.put(_End(None))  # for a consumer that is waiting in another thread


def _drain(out: "queue.Queue[T | _End]") -> None:
    while True:
        try:
            out.get_nowait()
        except queue.Empty:
            return
