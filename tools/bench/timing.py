"""What every benchmark shares: alternating repeats, medians of ratios, and a JSON file.

Machines are noisy and drift. So the cases take turns, each round times every case once, and what is compared is the
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

from foveal.tools.console.machine import environment
from foveal.tools.console.progress import progress_bar


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one case took.

    Attributes:
        seconds: Of each round.
        peak_mb: The most memory this process held in any of them, in 2^20 bytes; 0 where nobody looked.
    """

    seconds: list[float]
    peak_mb: int

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return statistics.median(self.seconds)

    def shared_by(self, images: float) -> "Timing":
        """Return what each of some images took that were timed together."""
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
        peaks: Whether to look at memory too. Each case then begins without the memory that earlier ones freed, which
            it has to fetch anew: for cases of seconds, not of milliseconds.
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
    """Write what was measured, on what and with which versions."""
    cases = {
        name: {"seconds": timing.seconds, "median_s": timing.median, "peak_mb": timing.peak_mb}
        for name, timing in timings.items()
    }
    report = {"benchmark": benchmark, "cases": cases, **facts, "environment": environment()}
    path.write_text(json.dumps(report, indent=1) + "\n")


def restart_peak_memory() -> None:
    """Give back what earlier cases freed, and let the kernel count the peak from here on, where it can."""
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
