"""How busy other processes are, from made-up counters and a real process."""

import os
import subprocess
import sys
import time

import pytest

from foveal.tools.doctor._busy import Others, busy_seconds

ONE = (
    "{name} 100 20 30 5000 400 5 6 7 8 9\n"  # user nice system idle iowait irq softirq steal guest guest_nice
)


def test_busy_seconds(tmp_path, monkeypatch):
    """Idle and waiting time, other processors, the line of the sum, and guests (counted in user) are left out."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    stat = tmp_path / "stat"
    stat.write_text(
        "".join(ONE.format(name=name) for name in ("cpu", "cpu0", "cpu1", "cpu2")) + "intr 1 2\n\n"
    )

    assert busy_seconds(stat) == pytest.approx(2 * (100 + 20 + 30 + 5 + 6 + 7) / os.sysconf("SC_CLK_TCK"))
    assert busy_seconds(tmp_path / "absent") == 0


def work(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_others(monkeypatch):
    """Other processes' work counts, this process's does not."""
    counted = []
    monkeypatch.setattr("foveal.tools.doctor._busy.busy_seconds", lambda: counted.pop(0))
    own = time.process_time()
    counted[:] = [1000.0, 1000.0]
    with Others() as others:
        work(0.2)
        counted[0] += time.process_time() - own  # nothing but this process
    alone = others.processors
    counted[:] = [1000.0, 1000.0]
    start, own = time.perf_counter(), time.process_time()
    with Others() as others:
        work(0.2)
        counted[0] += time.process_time() - own + 3 * (time.perf_counter() - start)

    assert alone == pytest.approx(0, abs=0.2)
    assert others.processors == pytest.approx(3, abs=0.3)


def test_a_real_process_is_seen():
    """A process that works all the time uses most of a processor."""
    code = "print('x', flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with Others() as others:
            time.sleep(1)
        other.kill()

    assert others.processors > 0.3
