"""The table of benchmarks that process images: images per second, and the speed relative to decoding alone."""

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
    """Print one row for each case: images/s, MP/s, the speed relative to decoding alone, and peak memory if it was measured.

    Args:
        console: Where to print.
        timings: Those of all cases, including decoding alone.
        images: Number of images that each case processed.
        pixels: Number of pixels of these images.
        reference: Which case is decoding alone.
        columns: Names of columns to the right.
        beside: What these columns show, by case; empty for the cases that are not named.
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
