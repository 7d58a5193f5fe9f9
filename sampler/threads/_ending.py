"""Makes forks wait for threads that are about to be gone.

``Thread.join`` of Python before 3.13 returns while the system's thread still frees what libraries keep for it. A process
that is forked at that moment inherits their tables half changed: in such a child MKL's first product of matrices never ends.
"""

import os
import threading
import time
import weakref

_TASKS = "/proc/self/task"  # exists on Linux; elsewhere forks do not wait

# Threads are gone within milliseconds. The limit is for the case that the system gives a thread's number to another one.
_MOST_SECONDS = 2.0


class _Alive:
    """Stands in the storage of a thread, which Python clears before it lets anybody join the thread.

    ``Thread.is_alive`` says the same, but before Python 3.13 it, or a ``join``, may raise AssertionError if two threads call
    one of them at the same moment.
    """

    __slots__ = ("__weakref__",)


_own = threading.local()
_known: dict[int, weakref.ref[_Alive]] = {}


def let_forks_wait() -> None:
    """Make a fork that comes after the calling thread has ended wait until the system's thread is gone as well."""
    for number in _ended():
        if not _exists(number):
            _known.pop(number, None)
    _own.alive = _Alive()
    _known[threading.get_native_id()] = weakref.ref(_own.alive)


def _ended() -> list[int]:
    return [
        number for number in list(_known) if (alive := _known.get(number)) is not None and alive() is None
    ]


def _exists(number: int) -> bool:
    return os.path.exists(f"{_TASKS}/{number}")  # noqa: PTH110 - asked again and again, and faster


def _wait_for_ended() -> None:
    deadline = time.monotonic() + _MOST_SECONDS
    for number in _ended():
        while _exists(number) and time.monotonic() < deadline:
            time.sleep(0.0002)
        _known.pop(number, None)


os.register_at_fork(before=_wait_for_ended, after_in_child=_known.clear)
