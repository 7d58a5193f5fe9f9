"""What all benchmarks share: alternating repeats, medians of ratios, and a JSON file.

The speed of a machine fluctuates and drifts. So each round times every case once, and two cases are compared by the
median over the rounds of the ratio within a round.
"""

import contextlib
import ctypes
import json
import re
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from foveal.shards.store import write_whole
from foveal.tools.console.machine import environment
from foveal.tools.console.progress import progress_bar


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one case took.

    Attributes:
        seconds: Seconds of each round.
        peak_mb: Peak memory of this process over all rounds, in 2^20 bytes; 0 if it was not measured.
    """

    seconds: list[float]
    peak_mb: int

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return statistics.median(self.seconds)

    def divided_by(self, images: float) -> "Timing":
        """Return the seconds per image of images that were timed together."""
        return Timing([seconds / images for seconds in self.seconds], self.peak_mb)

    def times_faster_than(self, other: "Timing") -> float:
        """Return the median over the rounds of how many times as fast this was as the other."""
        return statistics.median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))


def alternate(
    cases: Mapping[str, Callable[[], object]], repeats: int, *, console: Console, peaks: bool = False
) -> dict[str, Timing]:
    """Time each case once a round, after a first round that does not count.

    Args:
        cases: What to time, by name.
        repeats: Rounds that count.
        console: Where the progress shows.
        peaks: Whether to measure memory, too. Memory that earlier cases freed is then returned to the system before each
            case, which must allocate it anew: use it for cases that take seconds, not milliseconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    most = dict.fromkeys(cases, 0)
    with progress_bar(console) as progress:
        task = progress.add_task("", total=(repeats + 1) * len(cases))
        for _ in range(repeats + 1):
            for name, case in cases.items():
                progress.update(task, description=name)
                if peaks:
                    restart_peak_memory()
                start = time.perf_counter()
                case()
                seconds[name].append(time.perf_counter() - start)
                most[name] = max(most[name], peak_memory_mb() if peaks else 0)
                progress.advance(task)
    return {name: Timing(seconds[name][1:], most[name]) for name in cases}


def write_json(path: Path, benchmark: str, timings: Mapping[str, Timing], **facts: Any) -> None:
    """Write the results, with the machine and the versions of packages."""
    cases = {
        name: {"seconds": timing.seconds, "median_s": timing.median, "peak_mb": timing.peak_mb}
        for name, timing in timings.items()
    }
    report = {"benchmark": benchmark, "cases": cases, **facts, "environment": environment()}
    write_report(path, report)


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write results as JSON; the file appears complete."""
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())


def restart_peak_memory() -> None:
    """Return the memory that earlier cases freed, and restart the peak that the operating system records, if it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> int:
    """Return the most memory that this process held since the peak was restarted, in 2^20 bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _read("/proc/self/status"), re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
