"""Threads that take long to be gone after Python has joined them, as some do by chance."""

import ctypes
import os
import threading
from pathlib import Path

import pytest

LINGERS_S = 0.3


def make_threads_linger(patch: pytest.MonkeyPatch) -> dict[threading.Thread, int]:
    """Have each thread that Python begins stay for a while after its end, and return them with the system's numbers.

    What a library keeps for a thread is freed at the thread's end, by a function of the library. Here this function sleeps.
    """
    begun: dict[threading.Thread, int] = {}
    libc, key, run = ctypes.CDLL(None), ctypes.c_uint(), threading.Thread.run
    libc.pthread_key_create(ctypes.byref(key), ctypes.cast(libc.usleep, ctypes.c_void_p))

    def run_and_linger(thread: threading.Thread) -> None:
        libc.pthread_setspecific(key, ctypes.c_void_p(int(LINGERS_S * 1e6)))
        begun[thread] = threading.get_native_id()
        run(thread)

    patch.setattr(threading.Thread, "run", run_and_linger)
    return begun


def left_at_a_fork(begun: dict[threading.Thread, int]) -> list[str]:
    """Fork this process, and return the names of the threads that had ended for Python and were still there."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    left = [thread.name for thread, number in begun.items() if not thread.is_alive() and exists(number)]
    os.waitpid(child, 0)
    return left


def exists(number: int) -> bool:
    return Path(f"/proc/self/task/{number}").exists()
