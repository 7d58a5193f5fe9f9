"""The table of benchmarks that go over images: how many a second, and as a part of what decoding alone does."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from foveal.tools.bench.ceilings import DECODE
from foveal.tools.bench.timing import Timing
from foveal.tools.console.table import print_table


def print_throughput(
    console: Console,
    timings: Mapping[str, Timing],
    *,
    images: int,
    pixels: int,
    reference: str = DECODE,
    columns: Sequence[str] = (),
    beside: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Print one row a case: images/s, MP/s, the part of decoding alone, and peak memory where somebody looked.

    Args:
        console: Where to.
        timings: Of each case, that of decoding alone among them.
        images: How many images each went over.
        pixels: How many pixels those have.
        reference: Which case is decoding alone.
        columns: Names of columns to the right.
        beside: What stands there; nothing for the cases that are not named.
    """
    peaks = any(timing.peak_mb for timing in timings.values())
    rows = [
        [
            name,
            f"{images / timing.median:.1f}",
            f"{pixels / timing.median / 1e6:,.0f}",
            f"{timing.times_faster_than(timings[reference]):.2f}",
            *([f"{timing.peak_mb:,}"] if peaks else []),
            *(beside or {}).get(name, [""] * len(columns)),
        ]
        for name, timing in timings.items()
    ]
    head = ["", "images/s", "MP/s", "of decode only", *(["peak MB"] if peaks else [])]
    print_table(console, [*head, *columns], rows)
