"""How much of the machine other processes used during a measurement."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


class Others:
    """A context that measures how many processors other processes kept busy.

    The system counts the time that each processor worked (``/proc/stat``), and the time that this process used; the difference is
    the work of others. If the system does not count, no other process is assumed to have worked.

    Attributes:
        processors: After the context has ended: of the processors that this process may use, how many others kept busy on average.
    """

    processors = 0.0

    def __enter__(self) -> Self:
        self._start, self._own, self._all = time.perf_counter(), _own_seconds(), busy_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        others = (busy_seconds() - self._all) - (_own_seconds() - self._own)
        self.processors = max(0.0, others / (time.perf_counter() - self._start))


def busy_seconds(stat: Path = Path("/proc/stat")) -> float:
    """Return the total time that the processors of this process have worked since the system started, in seconds."""
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0.0
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    return sum(_worked(line.split()[1:]) for line in lines if line.split()[:1] and line.split()[0] in ours)


def _worked(ticks: list[str]) -> float:
    """Return the seconds that one processor has worked, interrupts and what the host took away among them, by its line of ``/proc/stat``."""
    user, nice, system, _idle, _waiting, *more = (int(number) for number in ticks[:8])
    return (user + nice + system + sum(more)) / _TICKS


def _own_seconds() -> float:
    """Return the processor time of this process and of its child processes that have ended."""
    return sum(os.times()[:4])
