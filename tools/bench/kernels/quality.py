"""``foveal bench quality``: how close does a zoomed image come to the true mean over each of its pixels?

The truth is the mean of 16 x 16 bilinear points in each output pixel; the grid is interpolated bilinearly between the
centres of the output's pixels, and extrapolated beyond the outermost. Four ways are compared with it, in decibels: one
point for each pixel; the image resized by area to the size of the output first and then sampled; `sample`, which is
anti-aliased; and `sample` at doubled size, the mean of 2 x 2 of its pixels. The grids are the uniform one, that of the
default zoom, and unbounded zooms of ``SpectralSaliency``, from mild to sharp. After the given
images come stripes and noise, which show the errors of sampling that skips source pixels.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from jaxtyping import Float, UInt8
from rich.console import Console
from torch import Tensor, nn

from foveal.sampler import SaliencySampler, SpectralSaliency, UniformSampler, sample
from foveal.shards import Shards
from foveal.tools.bench._readable import readable
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.kernels._patterns import PATTERNS
from foveal.tools.bench.kernels.sample import example_grid
from foveal.tools.bench.timing import write_report
from foveal.tools.console.machine import environment
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.table import print_table
from foveal.tools.pictures.originals import read_originals
from foveal.tools.scenes.scenes import write_shards

POINTS = 16
PATTERN_POINTS = 48
TEMPERATURES = (1.0, 0.5, 0.25)
POINT, RESIZED, ANTIALIASED, DOUBLED = "one point", "resized first", "anti-aliased", "doubled"
TOLERANCE = 1e-3
_BAND = 8  # rows of the output whose points are in memory at once

Decibels = dict[str, dict[str, list[float]]]  # by zoom, by way, of each image
Truth = Callable[[Tensor, Tensor], Tensor]


def bench_quality(
    urls: Sequence[str], *, size: int = 224, scenes: int = 8, json_path: Path | None = None
) -> Decibels:
    """Measure all four ways on every image after checking the truth itself, print a table, and return the figures.

    Args:
        urls: Shards; none for generated scenes.
        size: Height and width of the zoomed images, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the figures go too.

    Raises:
        ValueError: The truth is not what it should be; or none of the images can be decoded.
    """
    console = Console()
    zooms, smaller = _zooms(size), _zooms(size // 4)
    check_truth(supersampled, example_grid(size))
    found: Decibels = {
        _row(kind, zoom): {POINT: [], RESIZED: [], ANTIALIASED: [], DOUBLED: []}
        for kind in ("", *PATTERNS)
        for zoom in zooms
    }
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
        shards = Shards(urls or write_shards(Path(folder), scenes, console=console))
        good = readable(shards, range(len(shards)), console)
        with progress_bar(console) as progress:
            for ordinal in progress.track(good, description="images"):
                _add(found, "", read_originals(shards, [ordinal]), zooms, supersampled)
            for kind, draw in PATTERNS.items():
                patterns = progress.track(draw(9 * (size // 4)), description=kind)
                _add(found, kind, patterns, smaller, supersampled_squares)
        console.print(
            f"{len(good):,} images to {size} × {size}: decibels (PSNR) compared with {POINTS} × {POINTS} points in each pixel, "
            f"of the worst image / in the median. Stripes and texture to a quarter of that size, compared with {PATTERN_POINTS} × {PATTERN_POINTS}. "
            "Checked: the truth of a ramp is its values.",
            soft_wrap=True,
        )
    rows = [
        [zoom, *(f"{min(values):.1f} / {statistics.median(values):.1f}" for values in ways.values())]
        for zoom, ways in found.items()
    ]
    print_table(console, ["", POINT, RESIZED, ANTIALIASED, DOUBLED], rows)
    if json_path:
        report = {"benchmark": "quality", "size": size, "decibels": found, "environment": environment()}
        write_report(json_path, report)
    return found


def _add(
    found: Decibels, kind: str, images: Iterable[Tensor], zooms: dict[str, nn.Module], truth_of: Truth
) -> None:
    for image in images:
        for zoom, sampler in zooms.items():
            for way, decibels in measure(image, sampler, truth_of).items():
                found[_row(kind, zoom)][way].append(decibels)


def _row(kind: str, zoom: str) -> str:
    return f"{kind}, {zoom}" if kind else zoom


def _zooms(size: int) -> dict[str, nn.Module]:
    saliency = SpectralSaliency()
    sharper = {
        f"temperature {temperature}": SaliencySampler(
            size, saliency=saliency, temperature=temperature, max_zoom=None
        )
        for temperature in TEMPERATURES
    }
    return {
        "uniform": UniformSampler(size),
        "default zoom": SaliencySampler(size).requires_grad_(requires_grad=False),
        **sharper,
    }


def measure(image: UInt8[Tensor, "height width 3"], zoom: nn.Module, truth_of: Truth) -> dict[str, float]:
    """Return how close each way comes to the truth for one image, in decibels."""
    zoomed, grid, _ = zoom([image])
    dense = image.permute(2, 0, 1)[None].float() / 255
    truth = truth_of(dense, grid)
    resized = F.interpolate(dense, grid.shape[1:3], mode="area")
    ways = {
        POINT: sample([image], grid, antialias=False),
        RESIZED: sample(resized, grid, antialias=False),
        ANTIALIASED: zoomed,
        DOUBLED: F.avg_pool2d(sample([image], torch.cat([*_fine_rows(grid, 2)], dim=1)), 2),
    }
    return {way: float(-10 * (pixels - truth).square().mean().log10()) for way, pixels in ways.items()}


def supersampled(
    image: Float[Tensor, "1 channel height width"], grid: Float[Tensor, "1 rows cols 2"], points: int = POINTS
) -> Float[Tensor, "1 channel rows cols"]:
    """Return the mean over ``points`` x ``points`` bilinear points to an output pixel."""
    bands = [
        F.avg_pool2d(F.grid_sample(image, fine, padding_mode="border", align_corners=False), points)
        for fine in _fine_rows(grid, points)
    ]
    return torch.cat(bands, dim=2)


def supersampled_squares(
    image: Float[Tensor, "1 channel height width"], grid: Float[Tensor, "1 rows cols 2"]
) -> Float[Tensor, "1 channel rows cols"]:
    """Return the mean over more points, reading pixels as squares: bilinear points would blur the finest stripes."""
    return supersampled(F.interpolate(image, scale_factor=4, mode="nearest"), grid, PATTERN_POINTS)


def check_truth(truth_of: Truth, grid: Float[Tensor, "1 rows cols 2"]) -> None:
    """Check the truth on an image whose values are its coordinates: the mean over a pixel must be that of its points.

    Raises:
        ValueError: It is not.
    """
    rows, cols = 300, 400
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(cols) + 0.5, indexing="ij")
    ramp = torch.stack([2 * x / cols - 1, 2 * y / rows - 1])[None]
    inside = 0.9 * grid
    middle = torch.cat(
        [F.avg_pool2d(fine.permute(0, 3, 1, 2), POINTS) for fine in _fine_rows(inside, POINTS)], dim=2
    )
    check_agreement("the truth and a ramp", truth_of(ramp, inside), middle, TOLERANCE)


def _fine_rows(
    grid: Float[Tensor, "1 rows cols 2"], points: int
) -> Iterator[Float[Tensor, "1 fine_rows fine_cols 2"]]:
    """Yield the points, a few output rows at a time: the grid, linear between pixel centres and extrapolated beyond."""
    down, across = (_between(length, points).to(grid) for length in grid.shape[1:3])
    wide = torch.einsum("bj,nijc->nibc", across, grid)
    for first in range(0, len(down), _BAND * points):
        yield torch.einsum("ai,nibc->nabc", down[first : first + _BAND * points], wide)


def _between(length: int, points: int) -> Float[Tensor, "fine length"]:
    place = (torch.arange(length * points, dtype=torch.float64) + 0.5) / points - 0.5
    below = place.floor().clamp(0, length - 2).long()
    one_hot = F.one_hot(below, length).double(), F.one_hot(below + 1, length).double()
    share = (place - below)[:, None]
    return (1 - share) * one_hot[0] + share * one_hot[1]
