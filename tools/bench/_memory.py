"""``foveal bench memory``: how much memory does a batch of large images take, above the process at rest?

64 images of 12 megapixels go through the loader, in batches of 8 and of 64; decoded by DALI, and with ``decode="auto"``
and a zoom that is bounded to 4; with a frozen zoom, and with one that trains; without and with ``memory_budget``. Each
case runs in a separate process (``_memory_case.py``), and the operating system records its peak.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from foveal.shards import Shards
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench._memory_case import MemoryCase
from foveal.tools.bench.timing import write_report
from foveal.tools.bench.way import Way
from foveal.tools.console.machine import describe_machine, environment
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.table import print_table
from foveal.tools.scenes.scenes import write_scenes

BUDGET = "100MB"  # two images and a half of 12 megapixels
BATCH_SIZES = (8, 64)
_WAYS = (Way("dali"), Way("auto", 4.0))


def bench_memory(
    urls: Sequence[str],
    *,
    images: int = 64,
    repeats: int = 3,
    image_size: tuple[int, int] = (4000, 3000),
    json_path: Path | None = None,
) -> dict[str, list[int]]:
    """Measure every case, check its result, print a table, and return the peaks in 2^20 bytes.

    Args:
        urls: Shards of large images; none for generated scenes.
        images: How many images a case loads: some of those of the shards, or the same ones again.
        repeats: Rounds; each runs every case once.
        image_size: (width, height) of the generated scenes, in pixels.
        json_path: Where the numbers go too.

    Raises:
        ValueError: A case did not load every image, or had no gradient although it trains; or no image can be decoded.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="foveal-") as name:
        folder = Path(name)
        tiny, large = str(folder / "tiny.tar"), str(folder / "large.tar")
        write_scenes(Path(tiny), range(1), size=(320, 240))
        if not urls:
            write_scenes(Path(large), range(4), size=image_size)
        given = Shards(urls or large)
        [shard] = deal_samples(given, folder / "case", images, console=console)
        cases = _cases(tiny, shard)
        peaks: dict[str, list[int]] = {label: [] for label in cases}
        with progress_bar(console) as progress:
            task = progress.add_task("", total=repeats * len(cases))
            for _ in range(repeats):
                for label, case in cases.items():
                    progress.update(task, description=label)
                    peaks[label].append(check_case(label, _run(case), images=images, trains=case.trains))
                    progress.advance(task)
    console.print(
        f"{images} images, on {describe_machine()}: peak above the process at rest, medians of {repeats} "
        "processes. Checked: every image came, and gradients where the network learns.",
        soft_wrap=True,
    )
    medians = {label: statistics.median(found) for label, found in peaks.items()}
    print_table(console, ["", "peak MB"], [[label, f"{peak:,.0f}"] for label, peak in medians.items()])
    if json_path:
        report = {"benchmark": "memory", "images": images, "peak_mb": peaks, "environment": environment()}
        write_report(json_path, report)
    return peaks


def check_case(label: str, found: Mapping[str, Any], *, images: int, trains: bool) -> int:
    """Return the peak of a case, after checking its result.

    Raises:
        ValueError: It loaded another number of images, trained without a gradient, or was frozen and has one.
    """
    if found["images"] != images:
        raise ValueError(f"{label}: a case must load {images} images, got {found['images']}.")
    if (found["gradient"] > 0) is not trains:
        wanted = "a gradient above" if trains else "no gradient but"
        raise ValueError(f"{label}: the network must have {wanted} 0, got {found['gradient']!r}.")
    return int(found["peak_mb"])


def _cases(tiny: str, shard: str) -> dict[str, MemoryCase]:
    cases = [
        MemoryCase(tiny, shard, batch_size, way, trains, budget)
        for budget in (None, BUDGET)
        for way in _WAYS
        for trains in (False, True)
        for batch_size in BATCH_SIZES
    ]
    return {_label(case): case for case in cases}


def _label(case: MemoryCase) -> str:
    parts = [
        f"decode {case.way}",
        "trainable" if case.trains else "frozen",
        f"batch {case.batch_size}",
        *([f"budget {case.memory_budget}"] if case.memory_budget else []),
    ]
    return ", ".join(parts)


def _run(case: MemoryCase) -> dict[str, Any]:
    """Run a case in a process of its own.

    Raises:
        ValueError: It ended with an error.
    """
    command = [sys.executable, "-m", "foveal.tools.bench._memory_case", case.to_json()]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if run.returncode:
        raise ValueError(f"{_label(case)}: the process must end well, got {run.stderr.strip()[-400:]!r}.")
    found: dict[str, Any] = json.loads(run.stdout)
    return found
