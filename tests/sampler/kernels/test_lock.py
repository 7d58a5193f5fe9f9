"""One process at a time is in a block that is locked."""

import contextlib
import os
import signal
import sys
import threading

import pytest

from foveal.sampler.kernels._lock import lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


@contextlib.contextmanager
def another_process_in(file, *, shared=False):
    """Have a process be in the block; yield a function that ends it, with a signal."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with lock(file, lambda: os._exit(1), shared=shared):
            os.write(writing, b"in")
            signal.pause()
    assert os.read(reading, 2) == b"in"

    def end(by=signal.SIGKILL):
        os.kill(child, by)

    try:
        yield end
    finally:
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_a_process_waits_for_another(tmp_path):
    """A process that finds another one in the block says so, and enters when that one ends, also if it is killed."""
    file, waited = tmp_path / "new" / "a.lock", []
    with another_process_in(file) as end, lock(file, lambda: (waited.append(1), end())):
        entered = len(waited)

    assert entered == 1


@pytest.mark.parametrize(("theirs", "ours"), [(True, False), (False, True)])
def test_a_shared_block_and_one_that_is_not(tmp_path, theirs, ours):
    """A process waits for another one unless the blocks of both are shared."""
    file, waited = tmp_path / "a.lock", []
    with (
        another_process_in(file, shared=theirs) as end,
        lock(file, lambda: (waited.append(1), end()), shared=ours),
    ):
        entered = len(waited)

    assert entered == 1


def test_processes_share_a_block(tmp_path):
    """Processes are in a shared block at the same time."""
    file = tmp_path / "a.lock"
    with another_process_in(file, shared=True) as end:
        with lock(file, pytest.fail, shared=True):
            pass
        end()


def test_nobody_waits_afterwards(tmp_path):
    """A block that was left, by whatever way, is free, and another file is another block."""
    file = tmp_path / "a.lock"
    with contextlib.suppress(KeyError), lock(file, pytest.fail):
        raise KeyError
    with another_process_in(file) as end, lock(tmp_path / "b.lock", pytest.fail):
        end()
    with lock(file, pytest.fail):
        pass


def test_a_block_within_a_block(tmp_path):
    """A process may be in several blocks: numba compiles a kernel while it compiles one that calls it."""
    with lock(tmp_path / "a.lock", pytest.fail), lock(tmp_path / "b.lock", pytest.fail):
        entered = True

    assert entered


def test_where_nothing_can_be_written_nobody_waits(tmp_path):
    """Without a file there is no lock."""
    (tmp_path / "file").write_text("")
    with lock(tmp_path / "file" / "a.lock", pytest.fail):
        entered = True

    assert entered


def test_a_short_wait_is_not_told(tmp_path):
    """A process that leaves the block at once, as one that finds its kernel on disk, is waited for without a word."""
    file = tmp_path / "a.lock"
    with another_process_in(file) as end:
        threading.Timer(0.1, end).start()
        with lock(file, pytest.fail):
            pass
