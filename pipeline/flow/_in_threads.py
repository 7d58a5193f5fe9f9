"""Apply a function to items in several threads, in their order."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from foveal.sampler.threads import let_forks_wait

T = TypeVar("T")
R = TypeVar("R")


def in_threads(function: Callable[[T], R], items: Iterable[T], at_once: int) -> Generator[R]:
    """Yield the function's results in the order of the items, working on ``at_once`` items at the same time.

    If it is one at a time, no thread is used. When this is closed, items that have not begun are dropped; those that have
    begun are waited for.
    """
    if at_once == 1:
        yield from map(function, items)
        return
    tasks: SimpleQueue[tuple[T, Future[R]] | None] = SimpleQueue()
    # Not an executor's threads: at the end of the process, Python would wait for those before closing anything.
    threads = [
        threading.Thread(target=_work, args=(function, tasks), name="foveal-read", daemon=True)
        for _ in range(at_once)
    ]
    for thread in threads:
        thread.start()
    ahead: deque[Future[R]] = deque()
    try:
        for item in items:
            ahead.append(Future())
            tasks.put((item, ahead[-1]))
            if len(ahead) == at_once:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            thread.join()


def _work(function: Callable[[T], R], tasks: "SimpleQueue[tuple[T, Future[R]] | None]") -> None:
    let_forks_wait()
    while (task := tasks.get()) is not None:
        item, future = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(item))
            except BaseException as error:  # noqa: BLE001 - raised where the result is requested
                future.set_exception(error)
        del task, item, future  # no reference is kept while waiting for the next item
