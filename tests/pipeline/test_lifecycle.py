"""Memory over many epochs, and every way in which a process can end."""

import copy
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import Chain
from foveal.sampler import SaliencySampler, UniformSampler
from tests.lingering import left_at_a_fork, make_threads_linger
from tests.pipeline.making import complaints
from tests.pipeline.processes import HEAD, python


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 36_000_000])
def test_memory_does_not_grow(data_dir, kept):
    """Without the cycle collector, some late epoch has no more memory than an early one. If a script keeps an image of each epoch, it has."""
    run = python(
        f"""
        gc.disable()
        held, kept = [], {kept}
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        with ZoomLoader(urls, SaliencySampler(224).requires_grad_(False), batch_size=8, decode="dali") as loader:
            sizes = []
            for epoch in range(8):
                assert sum(len(labels) for _, labels in loader) == 31
                held.append(os.urandom(kept))
                sizes.append(resident())
        print(*sizes)
        """,
        str(data_dir / "photos" / "photos-{000000..000002}.tar"),
    )
    assert run.returncode == 0, run.stderr
    sizes = [float(size) for size in run.stdout.split()]

    assert (min(sizes[5:]) > max(sizes[1:4])) is bool(kept), sizes


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        # The last two hold an iterator, too, when they end.
        pytest.param(
            "batch = next(iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)))",
            0,
            "",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "it = iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)); next(it)",
            0,
            "",
            marks=pytest.mark.slow,
        ),
        ("it = iter(ZoomLoader(urls, SaliencySampler(8), batch_size=2)); next(it)", 0, ""),
        pytest.param(
            "it = iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)); next(it); 1 / 0",
            1,
            "ZeroDivisionError",
            marks=pytest.mark.slow,
        ),
        ("it = iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)); next(it); sys.exit(7)", 7, ""),
    ],
    ids=["dropped", "held", "held while training", "error", "exit"],
)
def test_every_way_out_is_clean(small_shards, code, status, says):
    """A process that ends with work in progress has its normal exit status, and DALI prints nothing."""
    run = python(code, *small_shards)

    assert run.returncode == status, run.stderr
    assert says in run.stderr
    assert "terminate called" not in run.stderr


@pytest.mark.parametrize("zoom", ["SaliencySampler(24)", "SaliencySampler(24).requires_grad_(False).eval()"])
def test_a_thread_that_outlives_the_main_thread(small_shards, zoom):
    """An epoch that a thread iterates when the program has come to its end is whole, for Python waits for that thread."""
    ran = python(
        f"""
        import threading
        torch.set_num_threads(2)
        loader = ZoomLoader(urls * 5, {zoom}, batch_size=2, num_threads=2)
        batches = iter(loader)
        first = next(batches)

        def work():
            threading.main_thread().join()
            print(len(loader), 1 + sum(1 for _ in batches))

        threading.Thread(target=work).start()
        """,
        *small_shards,
    )

    assert complaints(ran.stderr) == []
    assert len(set(ran.stdout.split())) == 1


def test_interrupt(small_shards):
    """Ctrl-C in mid-epoch raises KeyboardInterrupt without a hang, and the next epoch is complete."""
    code = """
    loader = ZoomLoader(urls, UniformSampler(8), batch_size=1, prefetch_factor=1)
    try:
        for n in itertools.count():
            for _ in loader:
                if not n:
                    print("ready", flush=True)
                    n = 1
    except KeyboardInterrupt:
        print("whole", sum(len(labels) for _, labels in loader))
    """
    command = [sys.executable, "-c", HEAD + textwrap.dedent(code), *small_shards]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "whole 13"


CYCLES = """
import contextlib, threading, warnings
torch.set_num_threads(1)  # several wait for each other for long on a busy machine
zoom = SaliencySampler(8).requires_grad_(TRAINS)

def leave_early(loader):
    for _ in loader:
        break

def begin_twice(loader):
    held = iter(loader)
    next(held)
    assert next(iter(loader)) and next(held)

def fail(loader):
    with contextlib.suppress(ZeroDivisionError):
        for _ in loader:
            1 / 0

def interrupt(loader):
    with contextlib.suppress(KeyboardInterrupt):
        for _ in loader:
            signal.raise_signal(signal.SIGINT)

def forget(loader):
    other = ZoomLoader(urls, zoom, batch_size=2)
    batches = iter(other)
    next(batches)
    del other
    next(batches)

def close(loader):
    batches = iter(loader)
    next(batches)
    loader.close()
    assert next(batches, None) is None

def take_all_and_no_more(loader):
    batches = iter(loader)
    assert sum(len(next(batches)[1]) for _ in range(len(loader))) == 13
    assert not [t for t in threading.enumerate() if t.name in ("foveal-read", "foveal-decode", "foveal-zoom")]

def hold_three(loader):
    held = [iter(loader) for _ in range(3)]
    assert all(next(batches) for batches in held + held)

def go_to_the_end(loader):
    assert sum(len(labels) for _, labels in loader) == 13

WAYS = (leave_early, begin_twice, fail, interrupt, forget, close, take_all_and_no_more, hold_three, go_to_the_end)
loader = ZoomLoader(urls, zoom, batch_size=2)

def left():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), threading.active_count()

def cycle():
    for way in WAYS:
        way(loader)

cycle()
cycle()
before = left()
for _ in range(20):
    cycle()
loader.set_epoch(0)
assert sum(len(labels) for _, labels in loader) == 13
# The system may take a moment to let go of the threads of DALI's that have ended.
for _ in range(100):
    if left() <= before:
        break
    time.sleep(0.05)
print(*before, *left())
"""


@pytest.mark.slow
@pytest.mark.parametrize("trains", [False, True])
def test_twenty_times_every_way_out_leave_nothing(small_shards, trains):
    """No thread of ours or DALI's and no open file is left, with the cycle collector off."""
    run = python("gc.disable()\n" + CYCLES.replace("TRAINS", str(trains)), *small_shards)
    assert run.returncode == 0, run.stderr
    files, tasks, threads, *left = map(int, run.stdout.split())

    assert left[0] <= files
    assert left[1] <= tasks
    assert left[2] <= threads


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: forks and threads
loader = ZoomLoader(urls, UniformSampler(8), batch_size=2)
if WHEN == "after an epoch":
    assert len(list(loader)) == 7
batches = iter(loader)
if WHEN == "in an epoch":
    next(batches)
child = os.fork()
if child == 0 and WHEN == "in an epoch":
    try:
        next(batches)
    except RuntimeError as error:
        print(error, flush=True)
if child == 0:
    assert sum(len(labels) for _, labels in loader) == 13
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert len(list(batches)) == (6 if WHEN == "in an epoch" else 7)
"""


@pytest.mark.parametrize(
    "when",
    [*(pytest.param(when, marks=pytest.mark.slow) for when in ("fresh", "after an epoch")), "in an epoch"],
)
def test_forks(small_shards, when):
    """After a fork the child may use the loader, but not the running epoch; parent and child do not disturb each other."""
    run = python(FORK.replace("WHEN", repr(when)), *small_shards)

    assert run.returncode == 0, run.stderr
    message = (
        "an epoch must be iterated in the process that began it, got a fork of it – begin another one here.\n"
    )
    assert run.stdout == (message if when == "in an epoch" else "")
    assert complaints(run.stderr) == []


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_loader_is_not_copied(small_shards, copied):
    """Copying or pickling a loader is refused, and the message says what to pass instead."""
    message = (
        "a ZoomLoader must be made in the process that uses it, got one to be copied or pickled – pass its arguments, "
        "and its state_dict() to continue."
    )
    with (
        ZoomLoader(small_shards, UniformSampler(8), batch_size=2) as loader,
        pytest.raises(TypeError, match=f"^{re.escape(message)}$"),
    ):
        copied(loader)


@pytest.mark.parametrize("trains", [False, True])
def test_an_error_ends_the_epoch_where_it_was(small_shards, monkeypatch, trains):
    """After an error no later batch is delivered, and the loader keeps its place."""
    zoom = SaliencySampler(8).requires_grad_(trains)
    with ZoomLoader(small_shards, zoom, batch_size=2, fields=("image", "__key__")) as loader:
        batches = iter(loader)
        next(batches)
        next(batches)
        with monkeypatch.context() as patch:
            patch.setattr(type(loader.stats), "timed", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                next(batches)
        assert next(batches, None) is None
        assert loader.epoch == 0
        assert loader.state_dict()["position"] == 4

        loader.load_state_dict(loader.state_dict())
        assert [key for _, keys in loader for key in keys] == [f"{k:03d}" for k in range(4, 13)]
        assert loader.epoch == 1


def _interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("decode", ["auto", "dali"])
def test_no_thread_of_an_epoch_is_left_at_a_fork(small_shards, decode, monkeypatch):
    """All threads of an epoch are gone at a fork, also for the system: MKL, in its first product in the child, would hang."""
    monkeypatch.setattr(Chain, "_reads_at_once", lambda _: 2)  # as for remote shards
    zoom = SaliencySampler(8).requires_grad_(False)
    with ZoomLoader(small_shards, zoom, batch_size=4, decode=decode, num_threads=2) as loader:
        begun = make_threads_linger(monkeypatch)
        for batches in (list(loader), [next(iter(loader))]):
            assert batches
            left = left_at_a_fork(begun)
            assert [
                name for name in left if "(_worker)" not in name
            ] == []  # those are DALI's: no torch, no MKL
    assert {"foveal-read", "foveal-zoom"} <= {thread.name for thread in begun}
