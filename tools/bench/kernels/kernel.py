"""``foveal bench sample`` on a CUDA device: how close does one launch over many large images come to the limit of the memory's bandwidth?

The images are on the device, each in separate memory, as many as half of the free memory holds; if that is fewer than the
batch, they are used repeatedly. A case is enqueued several times between two events, so that the host's work overlaps
with the device's. The bytes that a case has to move are counted: the distinct sectors of 32 bytes with a pixel that is
read, the grid, and the output. A plain copy is timed in the same rounds, and the result is the ratio of the two rates.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from rich.console import Console
from torch import Tensor

from foveal.sampler import sample
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.kernels.sample import IMAGE_SIZE, example_grid
from foveal.tools.bench.timing import Timing, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table

TOLERANCE = 1e-4
SECTOR = 32
"""The smallest number of bytes that a GPU's memory moves."""

_COPIED = 1 << 30  # bytes: much larger than any cache
_CALLS = 8

Images = list[UInt8[Tensor, "_height _width 3"]]


def bench_kernel(
    *,
    repeats: int = 7,
    size: int = 224,
    batch: int = 256,
    image_size: tuple[int, int] = IMAGE_SIZE,
    device: str = "cuda",
    copied: int = _COPIED,
    json_path: Path | None = None,
) -> dict[str, float]:
    """Time the launches after checking their pixels, print a table, and return each case's share of the copy's rate.

    Args:
        repeats: Rounds.
        size: Height and width of the outputs, in pixels.
        batch: Images of a launch.
        image_size: Their (height, width), in pixels.
        device: The device; on the CPU, its kernels are timed instead.
        copied: Bytes of the plain copy.
        json_path: Where the numbers go too.

    Raises:
        ValueError: The device's pixels are not those of the CPU.
    """
    console, place = Console(), torch.device(device)
    distinct = fitting(batch, image_size, place)
    images = full_images(batch, distinct, image_size, place)
    grid = example_grid(size).to(place).repeat(batch, 1, 1, 1)
    worst = max(check_on_device(images[:2], grid[:2], antialias) for antialias in (False, True))
    moved = {
        "points": moved_bytes(grid, image_size, antialias=False, values=3),
        "anti-aliased": moved_bytes(grid, image_size, antialias=True, values=3),
        "anti-aliased, for training": moved_bytes(grid, image_size, antialias=True, values=9),
        "plain copy": 2 * copied,
    }
    learned, source = grid.clone().requires_grad_(), torch.ones(copied, dtype=torch.uint8, device=place)
    target = torch.empty_like(source)
    cases: dict[str, Callable[[], object]] = {
        "points": lambda: sample(images, grid, antialias=False),
        "anti-aliased": lambda: sample(images, grid),
        "anti-aliased, for training": lambda: sample(images, learned),
        "plain copy": lambda: target.copy_(source),
    }
    timings = alternate_on(place, cases, repeats)
    shares = shares_of_copy(timings, moved)
    console.print(
        f"{batch} images ({distinct} in memory) of {image_size[0] * image_size[1] / 1e6:.1f} MP to {size} × {size}, "
        f"{describe_machine()}; pixels differ from the CPU's by {worst:.0e}",
        soft_wrap=True,
    )
    rows = [
        [
            name,
            f"{1000 * t.median:.3f}",
            f"{moved[name] / 1e6:.0f}",
            f"{moved[name] / t.median / 1e9:.0f}",
            f"{shares[name]:.2f}",
        ]
        for name, t in timings.items()
    ]
    print_table(console, ["", "ms a launch", "MB moved", "GB/s", "of a copy's"], rows)
    if json_path:
        facts = {"image_size": image_size, "size": size, "batch": batch, "moved_bytes": moved}
        write_json(json_path, "kernel", timings, shares=shares, **facts)
    return shares


def full_images(batch: int, distinct: int, image_size: tuple[int, int], device: torch.device) -> Images:
    """Return images of noise, each in separate memory; if the batch has more images, they are repeated."""
    generator = torch.Generator(device).manual_seed(0)
    images = [
        torch.randint(256, (*image_size, 3), dtype=torch.uint8, device=device, generator=generator)
        for _ in range(distinct)
    ]
    return [images[k % distinct] for k in range(batch)]


def fitting(batch: int, image_size: tuple[int, int], device: torch.device) -> int:
    """Return how many images of the batch fit into half of the device's free memory; at least one."""
    if device.type != "cuda":
        return batch
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(batch, free // 2 // (3 * image_size[0] * image_size[1])))


def check_on_device(images: Images, grid: Float[Tensor, "batch rows cols 2"], antialias: bool) -> float:
    """Return by how much the pixels differ from those of the CPU's kernels.

    Raises:
        ValueError: By more than ``TOLERANCE``.
    """
    there = sample(images, grid, antialias=antialias).cpu()
    here = sample([image.cpu() for image in images], grid.cpu(), antialias=antialias)
    return check_agreement("the device's and the CPU's pixels", there, here, TOLERANCE)


def moved_bytes(
    grid: Float[Tensor, "batch rows cols 2"], image_size: tuple[int, int], *, antialias: bool, values: int
) -> int:
    """Return the bytes that a launch has to move: sectors read, the grid, and ``values`` floats for each output pixel.

    All grids of the batch are the same, and no two images share memory.
    """
    batch, rows, cols, _ = grid.shape
    read = sectors_read(grid[:1], image_size, antialias=antialias) * SECTOR
    return batch * (read + (2 + values) * 4 * rows * cols)


def sectors_read(
    grid: Float[Tensor, "1 rows cols 2"], image_size: tuple[int, int], *, antialias: bool
) -> int:
    """Return how many sectors of an (height, width, 3) uint8 image hold a pixel that counts for some output pixel."""
    flat = pixels_read(grid, image_size, antialias=antialias).flatten().repeat_interleave(3)
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % SECTOR))
    return int(padded.view(-1, SECTOR).any(dim=1).sum())


def pixels_read(
    grid: Float[Tensor, "1 rows cols 2"], image_size: tuple[int, int], *, antialias: bool
) -> Bool[Tensor, "height width"]:
    """Return the source pixels that are used: those with a non-zero derivative of the output's sum."""
    image = torch.zeros(1, 1, *image_size, dtype=torch.float64, device=grid.device, requires_grad=True)
    (weight,) = torch.autograd.grad(sample(image, grid.double(), antialias=antialias).sum(), image)
    return weight[0, 0] != 0


def alternate_on(
    device: torch.device, cases: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, Timing]:
    """Time each case once a round, after a first round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats + 1):
        for name, case in cases.items():
            seconds[name].append(time_calls(case, device))
    return {name: Timing(values[1:], 0) for name, values in seconds.items()}


def time_calls(case: Callable[[], object], device: torch.device, calls: int = _CALLS) -> float:
    """Return the seconds of one of several calls, by the device's clock if it has one, or else by the host's."""
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(calls):
            case()
        return (time.perf_counter() - start) / calls
    with torch.cuda.device(device):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        for _ in range(calls):
            case()
        end.record()
        end.synchronize()
    return float(begin.elapsed_time(end)) / 1000 / calls


def shares_of_copy(timings: Mapping[str, Timing], moved: Mapping[str, int]) -> dict[str, float]:
    """Return the rate of each case in bytes per second, relative to the plain copy: the median over the rounds."""
    copy = timings["plain copy"]
    return {
        name: timing.times_faster_than(copy) * moved[name] / moved["plain copy"]
        for name, timing in timings.items()
    }
