"""Waiting for servers, which another thread can interrupt."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any

from foveal.shards.remote._retry import InterruptedReadError, PassingError

# What a coroutine calls when something arrives: its time begins anew.
Heard = Callable[[], None]


class Waits:
    """The requests that the threads of a process wait for: :meth:`interrupt` ends them all, and later ones, too."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()
        self._under_way: set[Future[Any]] = set()

    def __reduce__(self) -> tuple[type["Waits"], tuple[()]]:
        return Waits, ()  # in another process no request is under way

    @property
    def interrupted(self) -> bool:
        """Whether waiting has been interrupted."""
        return self._interrupted.is_set()

    def interrupt(self) -> None:
        """End all waiting."""
        self._interrupted.set()
        for future in tuple(self._under_way):
            future.cancel()

    def pause(self, seconds: float) -> None:
        """Sleep, unless waiting is interrupted."""
        self._interrupted.wait(seconds)

    def answer(
        self, loop: asyncio.AbstractEventLoop, ask: Callable[[Heard], Coroutine[Any, Any, Any]], limit: float
    ) -> Any:
        """Run a coroutine in the event loop's thread, and return its result. It has ``limit`` seconds, each time that it hears something.

        Raises:
            PassingError: It heard nothing for longer.
            InterruptedReadError: It was interrupted.
        """
        future = asyncio.run_coroutine_threadsafe(_outcome(ask, limit), loop)
        self._under_way.add(future)  # registered first, so that an interruption cannot be missed
        if self.interrupted:
            future.cancel()
        try:
            result, error = future.result()
        except CancelledError:
            raise InterruptedReadError("reading was interrupted") from None
        finally:  # after Ctrl-C, too, no request is left under way
            future.cancel()
            self._under_way.discard(future)
        if error is None:
            return result
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame, which would keep both


async def _outcome(
    ask: Callable[[Heard], Coroutine[Any, Any, Any]], limit: float
) -> tuple[Any, Exception | None]:
    """Return what was sent, or what failed.

    An error that a task raises after its thread has stopped to wait for it is printed by asyncio.
    """
    try:
        async with asyncio.timeout(limit) as left:
            now = asyncio.get_running_loop().time
            return await ask(lambda: left.reschedule(now() + limit)), None
    except TimeoutError:
        return None, PassingError(f"nothing arrived for {limit:.3g} s")
    except Exception as error:  # noqa: BLE001 - of any kind: the thread that waits raises it
        return None, error
