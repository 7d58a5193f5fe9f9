"""Whole processes: memory over many epochs, and every way out."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

HEAD = """
import gc, itertools, os, signal, sys, time
import torch
from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler, UniformSampler
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
urls = sys.argv[1:]
"""


def python(code: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HEAD + textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def test_memory_after_five_epochs_is_memory_after_two(data_dir):
    """With the cycle collector off: whatever a cycle kept would add up to gigabytes."""
    run = python(
        """
        gc.disable()
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        with ZoomLoader(urls, SaliencySampler(224).requires_grad_(False), batch_size=8) as loader:
            sizes = []
            for epoch in range(5):
                assert sum(len(labels) for _, labels in loader) == 31
                sizes.append(resident())
        print(*sizes)
        """,
        str(data_dir / "photos" / "photos-{000000..000002}.tar"),
    )
    assert run.returncode == 0, run.stderr
    sizes = [float(size) for size in run.stdout.split()]

    assert sizes[4] <= sizes[1] * 1.05, sizes


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("batch = next(iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)))", 0, ""),
        ("it = iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)); next(it)", 0, ""),
        ("it = iter(ZoomLoader(urls, SaliencySampler(8), batch_size=2)); next(it)", 0, ""),
        (
            "it = iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)); next(it); 1 / 0",
            1,
            "ZeroDivisionError",
        ),
        ("it = iter(ZoomLoader(urls, UniformSampler(8), batch_size=2)); next(it); sys.exit(7)", 7, ""),
    ],
    ids=["dropped", "held", "held while training", "error", "exit"],
)
def test_every_way_out_is_clean(small_shards, code, status, says):
    """A process that ends with work in flight ends as it meant to, without a word from DALI."""
    run = python(code, *small_shards)

    assert run.returncode == status, run.stderr
    assert says in run.stderr
    assert "terminate called" not in run.stderr


def test_interrupt(small_shards):
    """Ctrl-C in the middle of an epoch: KeyboardInterrupt, no hang, and the next epoch is whole."""
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
