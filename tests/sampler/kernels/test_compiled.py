"""Compiled kernels that are kept on disk are those of the present sources."""

import contextlib
import importlib.util
import sys
import types

import numba
import numpy as np
import pytest
from numba.core.event import Event, EventStatus

from foveal.sampler.kernels.cpu import _compiled
from foveal.sampler.kernels.cpu._antialias import antialias_into
from foveal.sampler.kernels.cpu._separable import separable_into
from tests.imports import imports

CALLED = """
import numba

@numba.njit
def called(value):
    return value + {more}
"""
KERNEL = """
from foveal.sampler.kernels.cpu import _compiled
{called}

@_compiled.compiled
def kernel(out):
    out[0] = called(out[0])
"""


@pytest.fixture
def result(tmp_path, monkeypatch):
    """Return the result of a kernel, from disk if it is there, and the number of times that it was compiled."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    # Bytecode of a file that is written twice within a second would be taken for that of the second.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(name, **known):
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        module.__dict__.update(known)
        spec.loader.exec_module(module)
        return module

    def run(more, stamp):
        (tmp_path / "called.py").write_text(CALLED.format(more=more))
        (tmp_path / "kernel.py").write_text(KERNEL.format(called=""))
        monkeypatch.setattr(_compiled, "_STAMP", stamp(tmp_path.glob("*.py")))
        kernel = load("kernel", called=load("called").called).kernel
        out = np.zeros(1)
        kernel(out)
        return out[0], sum(kernel.stats.cache_misses.values())

    return run


def test_a_change_in_another_file_is_noticed(result):
    """A kernel in an unchanged file is compiled again exactly if a function that it calls has changed."""
    assert result(1, _compiled.stamp_of) == (1, 1)
    assert result(1, _compiled.stamp_of) == (1, 0)
    assert result(2, _compiled.stamp_of) == (2, 1)


def test_without_a_stamp_it_would_not_be(result):
    """With a constant stamp the old machine code runs, so the test above can fail."""
    assert result(1, lambda _: "always") == (1, 1)
    assert result(2, lambda _: "always") == (1, 0)


@pytest.fixture
def locks(monkeypatch):
    """The files that were locked, and whether other processes could share the lock; those that could not are held by another process."""
    locked = []

    def another_compiles(file, waiting, *, shared=False):
        if not shared:
            waiting()
        locked.append((file, shared))
        return contextlib.nullcontext()

    monkeypatch.setattr(_compiled, "lock", another_compiles)
    monkeypatch.setitem(_compiled.PURPOSES, "kernel", "a test")
    monkeypatch.setattr(_compiled, "__package__", "")
    return locked


WAITING = "Waiting for another process that compiles kernels for a test ..."


def test_one_process_compiles_while_the_others_wait(result, locks, tmp_path, caplog, monkeypatch):
    """A kernel is compiled with the lock of its file on disk, and whoever waits for it says so once."""
    monkeypatch.setattr(_compiled, "_ANNOUNCE", _compiled._Announce())
    assert result(1, _compiled.stamp_of) == (1, 1)
    assert result(2, _compiled.stamp_of) == (2, 1)

    assert {file.parents[1] for file, _ in locks} == {tmp_path / "cache"}
    assert {file.suffix for file, _ in locks} == {".lock"}
    assert [shared for _, shared in locks] == [True, False] * 2
    assert caplog.messages.count(WAITING) == 1


def test_processes_load_together(result, locks, caplog, monkeypatch):
    """A kernel that is on disk is loaded at the same time as in other processes, and no process is said to compile."""
    assert result(1, _compiled.stamp_of) == (1, 1)
    locks.clear()
    caplog.clear()
    monkeypatch.setattr(_compiled, "_ANNOUNCE", _compiled._Announce())
    assert result(1, _compiled.stamp_of) == (1, 0)

    assert [shared for _, shared in locks] == [True]
    assert WAITING not in caplog.messages


def test_an_index_without_its_data(result, locks, tmp_path):
    """A kernel whose data is missing on disk is compiled by one process, as one that is not in the index."""
    assert result(1, _compiled.stamp_of) == (1, 1)
    for data in tmp_path.rglob("kernel*.nbc"):
        data.unlink()
    locks.clear()
    assert result(1, _compiled.stamp_of) == (1, 1)

    assert [shared for _, shared in locks] == [True, False]


def test_the_stamp_is_of_every_file_that_a_kernel_is_made_of(tmp_path):
    """The stamp covers all files that kernels import, and depends on content and name of each."""
    folder = "foveal.sampler.kernels."
    stamped = {path.stem for path in _compiled.SOURCES}
    used = {name for path in _compiled.SOURCES for name in imports(path) if name.startswith(folder)}
    of_kernels = {
        name.removeprefix(folder).split(".")[-1]
        for name in used
        if name.removeprefix(folder).split(".")[0] not in ("cuda", "plain")
    }
    one, other = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("x = 1")
    stamps = [_compiled.stamp_of([one])]
    one.write_text("x = 2")
    stamps.append(_compiled.stamp_of([one]))
    one.rename(other)
    stamps.append(_compiled.stamp_of([other]))

    assert len(stamped) > 10
    assert of_kernels - {"cpu"} <= stamped
    assert len(set(stamps)) == 3


def test_every_file_of_kernels_has_a_purpose():
    """Every file with kernels has a purpose for the log, and functions from elsewhere have none."""
    files = {path.stem for path in _compiled.SOURCES if "\n@compiled\n" in path.read_text()}

    assert len(files) > 5
    assert files == set(_compiled.PURPOSES)
    assert _compiled.purpose_of(kernel_of(f"{_compiled.__package__}._antialias")) == "anti-aliased sampling"
    assert _compiled.purpose_of(kernel_of(f"{_compiled.__package__}._unknown")) is None
    assert _compiled.purpose_of(kernel_of("another._antialias")) is None


def test_a_purpose_that_was_announced_before(caplog):
    """A purpose is announced once for kernels that are compiled in a row, and as "more" if others came between."""
    announce = _compiled._Announce()
    for kernel in (separable_into, separable_into, antialias_into, separable_into):
        event = Event("numba:compile", EventStatus.START, data={"dispatcher": kernel})
        announce.on_start(event)
        announce.on_end(event)

    assert [line for line in caplog.messages if line.startswith("Compiling")] == [
        "Compiling kernels for low-resolution copies and separable grids ...",
        "Compiling kernels for anti-aliased sampling ...",
        "Compiling more kernels for low-resolution copies and separable grids ...",
    ]


def kernel_of(module):
    return types.SimpleNamespace(__module__=module)
