"""``foveal bench gpu``: the tests, the loader, training, the table, the kernels' time and memory on a GPU, in eight minutes.

Each step's result, or its error, is printed and written to the JSON file as soon as the step ends, so that nothing is
lost if a later step fails. A step that fails does not end the run. With ``device="cpu"`` the same steps run on the CPU,
and Triton's kernels in its interpreter. That only tests the program itself; its times say nothing about a GPU.
"""

import faulthandler
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from foveal.pipeline.epoch import zoomed_together
from foveal.pipeline.flow import existing_device
from foveal.shards import Shards
from foveal.tools.bench._deal_samples import deal_files, good_files
from foveal.tools.bench.gpu._steps import decode_on, memory_on, train_on, zoom_on
from foveal.tools.bench.gpu.table import bench_device, kept
from foveal.tools.bench.kernels.kernel import bench_kernel
from foveal.tools.bench.timing import write_report
from foveal.tools.console.machine import environment
from foveal.tools.pictures.originals import spread_evenly
from foveal.tools.scenes.scenes import write_shards

SECONDS = 480.0
_SANITIZER = "compute-sanitizer"
_GOAL_MS = 1.0
_LONG = 90.0  # seconds that no step should take, except those with a limit of their own
_LINES = 12  # of a process's output that are kept
_MARKED_GPU = re.compile(r"mark\.gpu|triton_device")  # the mark, and the fixture whose tests get it

Found = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """The amount of work.

    Attributes:
        scenes: Number of scenes to draw if there are no shards.
        decoded: Images of an epoch that is only decoded.
        images: Most images of an epoch of the table.
        seconds: Time that each of its rows may take, by how fast DALI decodes on the device, and that each rate of decoding takes.
        batch: Images of a batch.
        repeats: Rounds of the table.
        launch: Images in one launch of the sampling kernel.
        image_size: (height, width) of these images, in pixels.
        copied: Bytes of the plain copy that it is compared with.
    """

    scenes: int
    decoded: int
    images: int
    seconds: float
    batch: int
    repeats: int
    launch: int
    image_size: tuple[int, int]
    copied: int


_FULL = _Load(
    scenes=32,
    decoded=256,
    images=1024,
    seconds=4,
    batch=64,
    repeats=3,
    launch=256,
    image_size=(3000, 4000),
    copied=1 << 30,
)
_TRIED = _Load(
    scenes=2,
    decoded=4,
    images=4,
    seconds=0,
    batch=4,
    repeats=1,
    launch=2,
    image_size=(300, 400),
    copied=1 << 22,
)


def check_gpu(
    urls: Sequence[str],
    *,
    device: str = "cuda",
    json_path: Path | None = None,
    seconds: float = SECONDS,
    tests: Sequence[str] = ("tests",),
    size: int = 224,
) -> dict[str, Found]:
    """Run every step, and return what each found.

    Args:
        urls: Shards; none for generated scenes.
        device: A CUDA device; ``"cpu"`` only tests the program itself.
        json_path: Where the results go, step by step.
        seconds: Time limit for all steps together. Steps that no time is left for are reported as such.
        tests: Arguments for pytest, which runs their tests marked ``gpu``. An installed package has no tests, so run this
            in a clone.
        size: Height and width of the zoomed images, in pixels. On the CPU, few and small images are used.

    Raises:
        ValueError: There is no such device.
    """
    place = existing_device(device)
    load = _FULL if place.type == "cuda" else _TRIED
    run = _Run(json_path, time.monotonic() + seconds)
    with tempfile.TemporaryDirectory(prefix="foveal-") as name:
        folder = Path(name)
        run.step("environment", environment)
        run.step("kernels beside the CPU's", lambda: _kernels(device, run.left))
        run.step("tests marked gpu", lambda: _tests(tests, place, run.left))
        given = Shards(urls or write_shards(folder / "scenes", load.scenes, console=run.console))
        files = good_files(given, max(load.batch, load.decoded), run.console)
        few = deal_files(
            [files[k] for k in spread_evenly(load.batch, len(files))], folder / "few", load.batch
        )
        run.step("decode and zoom", lambda: zoom_on(few, place, size=size, images=min(16, load.batch)))
        run.step(
            "ten steps of training",
            lambda: train_on(few, place, size=min(size, 96), batch_size=min(8, load.batch)),
        )
        run.step(
            "sampling kernel",
            lambda: _kernel_time(folder / "k.json", device, load, size),
        )
        some = deal_files(files, folder / "some", load.decoded)
        sizes = (8, zoomed_together(place), 128)
        run.step("decode only", lambda: decode_on(some, place, sizes, seconds=load.seconds))
        run.step("decode only, CPU", lambda: decode_on(some, torch.device("cpu"), (8,), seconds=load.seconds))
        run.step(
            "table", lambda: _table(given.urls, device, load, size, run.found["decode only"].get("best", 0))
        )
        run.step("memory", lambda: memory_on(few, place, size=size, batch_size=load.batch))
        run.step("compute-sanitizer", lambda: _sanitizer(place, run.left))
    return run.found


class _Run:
    """The steps so far."""

    def __init__(self, json_path: Path | None, ends_at: float) -> None:
        self.console, self.found = Console(), dict[str, Found]()
        self._json_path, self._ends_at = json_path, ends_at

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._ends_at - time.monotonic()

    def step(self, name: str, work: Callable[[], Found]) -> None:
        """Run a step if there is time left, and record its result or its error."""
        start = time.monotonic()
        faulthandler.dump_traceback_later(_LONG)  # a step that hangs shows where
        if self.left <= 0:
            found: Found = {"skipped": "no time was left"}
        else:
            try:
                found = work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next step may go well
                found = {"error": f"{type(error).__name__}: {error}"}
        faulthandler.cancel_dump_traceback_later()
        self.found[name] = found | {"took_s": round(time.monotonic() - start, 1)}
        self.console.print(f"{name}: {json.dumps(self.found[name])}", soft_wrap=True, markup=False)
        if self._json_path:
            write_report(self._json_path, self.found)


def _process(command: list[str], seconds: float, **variables: str) -> Found:
    """Run a program with a time limit; return its exit status and its last lines.

    Raises:
        ChildProcessError: It failed or took too long; the message has its last lines.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a command of ours
            command,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=max(seconds, 1),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace").splitlines()[-_LINES:]
        raise ChildProcessError(f"not done after {seconds:.0f} s: {said!r}") from error
    lines = done.stdout.splitlines()[-_LINES:]
    if done.returncode:
        raise ChildProcessError(f"status {done.returncode}: {lines!r}")
    return {"said": lines}


def _kernel_command(device: str) -> list[str]:
    return [sys.executable, "-m", "foveal.tools.bench.gpu._kernels", device]


def _kernels(device: str, left: float) -> Found:
    interpreted = {"TRITON_INTERPRET": "1"} if torch.device(device).type == "cpu" else {}
    return _process(_kernel_command(device), min(left, 120), **interpreted)


def _tests(tests: Sequence[str], device: torch.device, left: float) -> Found:
    required = {"FOVEAL_REQUIRE_GPU": "1"} if device.type == "cuda" else {}
    files = [file for each in tests for file in _files_marked_gpu(Path(each))]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files]
    return _process(command, min(left, 200), **required)


def _files_marked_gpu(tests: Path) -> list[str]:
    """Return the files of a folder that have tests marked ``gpu``: importing the others would take most of the time. A file is returned as it is."""
    if not tests.is_dir():
        return [str(tests)]
    return [str(file) for file in sorted(tests.rglob("test_*.py")) if _MARKED_GPU.search(file.read_text())]


def _kernel_time(path: Path, device: str, load: _Load, size: int) -> Found:
    shares = bench_kernel(
        size=size,
        batch=load.launch,
        image_size=load.image_size,
        device=device,
        copied=load.copied,
        repeats=5,
        json_path=path,
    )
    cases = json.loads(path.read_text())["cases"]
    milliseconds = {name: 1000 * case["median_s"] for name, case in cases.items()}
    return {
        "images": load.launch,
        "ms_a_launch": milliseconds,
        "of_a_copys_rate": shares,
        "goal_ms": _GOAL_MS,
    }


def _table(urls: list[str], device: str, load: _Load, size: int, images_per_s: float) -> Found:
    images = max(load.batch, min(load.images, int(load.seconds * images_per_s)))
    timings = bench_device(
        urls, device=device, images=images, batch_size=load.batch, repeats=load.repeats, size=size
    )
    rows = {row: images / timing.median for row, timing in timings.items()}
    return {"images": images, "images_per_s": rows, "of_decode_only": kept(timings, device)}


def _sanitizer(device: torch.device, left: float) -> Found:
    program = shutil.which(_SANITIZER)
    if program is None:
        return {"skipped": f"{_SANITIZER} is not installed"}
    if device.type != "cuda":
        return {"skipped": f"{_SANITIZER} looks at a GPU"}
    command = [program, "--tool", "memcheck", "--error-exitcode", "9", *_kernel_command(str(device))]
    return _process(command, min(left, 120))
