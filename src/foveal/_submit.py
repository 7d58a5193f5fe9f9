"""Work for the threads of a pool, also when Python's pools take no more."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def submit(pool: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call a function in a thread of the pool; in this one, before returning, if the main thread of the program has ended.

    Python waits for other threads then, but its pools take no more work.
    """
    try:
        return pool.submit(work, *args, **kwargs)
    except RuntimeError as error:
        if not str(error).startswith("cannot schedule new futures"):
            raise
    return _called_here(work, *args, **kwargs)


def _called_here(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(work(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - raised where the result is requested
        future.set_exception(error)
    return future
