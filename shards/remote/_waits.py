"""Waiting for servers, until another thread says not to."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any

from foveal.shards.remote._retry import LastingError, PassingError


class Waits:
    """What the threads of a process are waiting for: :meth:`interrupt` ends it all, and what is begun later."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()
        self._under_way: set[Future[Any]] = set()

    def __reduce__(self) -> tuple[type["Waits"], tuple[()]]:
        return Waits, ()  # in another process nothing is under way

    @property
    def interrupted(self) -> bool:
        """Whether nobody shall wait any more."""
        return self._interrupted.is_set()

    def interrupt(self) -> None:
        """End all waiting."""
        self._interrupted.set()
        for future in tuple(self._under_way):
            future.cancel()

    def pause(self, seconds: float) -> None:
        """Sleep, if nobody minds."""
        self._interrupted.wait(seconds)

    def answer(
        self, loop: asyncio.AbstractEventLoop, ask: Callable[[], Coroutine[Any, Any, Any]], limit: float
    ) -> Any:
        """Return what is asked for in the loop's thread, within ``limit`` seconds.

        Raises:
            PassingError: It took longer.
            LastingError: It was interrupted.
        """
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(ask(), limit), loop)
        self._under_way.add(future)  # first, so that an interruption sees it or is seen
        if self.interrupted:
            future.cancel()
        try:
            return future.result()
        except TimeoutError as error:
            raise PassingError(f"no whole answer within {limit:.3g} s") from error
        except CancelledError:
            raise LastingError("reading was interrupted") from None
        finally:  # Ctrl-C, too, leaves nothing under way
            future.cancel()
            self._under_way.discard(future)
