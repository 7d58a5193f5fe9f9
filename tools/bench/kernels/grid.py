"""``foveal bench grid``: how long does it take to turn saliency into a grid, compared with the convolution that the paper's code runs?

A 31 x 31 map becomes a 224 x 224 grid, forward alone and with the gradient to the map. The published code pads the map to
91 x 91, correlates it and its products with x and y with a 61 x 61 Gaussian, and enlarges the quotients. It is written
here from the formula, with the kernel as a constant (the published code also computes a gradient to it) and with aligned
corners, so that both compute the same grid. The separable family is checked against it on maps that are a product of a
row and a column, for which both are equal; the cdf family is checked against its definition.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from foveal._choices import FWHM_CELLS
from foveal.sampler import zoom_grid
from foveal.sampler.saliency import softmax_map
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table

MAP = 31
TOLERANCE = 1e-5  # of [-1, 1]
CONVOLUTION = "61 × 61 convolution"

Saliency = Float[Tensor, "batch 1 rows cols"]
ToGrid = Callable[[Tensor], Tensor]


def bench_grid(
    *,
    repeats: int = 7,
    size: int = 224,
    batch_sizes: Sequence[int] = (1, 32),
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time all cases after checking that they agree, print a table, and return the timings.

    Args:
        repeats: Rounds.
        size: Height and width of the grid.
        batch_sizes: Maps at a time.
        json_path: Where the numbers go too.

    Raises:
        ValueError: A grid is not what it should be.
    """
    console = Console()
    families = _families(size)
    published = partial(convolution_grid, size=size)
    maps = _maps(max(batch_sizes))
    differ = max(
        check_grids("kernel", families["kernel"](maps), published(maps)),
        check_grids("separable", families["separable"](_products(maps)), published(_products(maps))),
        check_cdf(families["cdf"](maps), maps),
        check_grids("gradients of kernel", *map(_in_largest, gradients(families["kernel"], published, maps))),
    )
    console.print(
        f"{MAP} × {MAP} to {size} × {size}, on {describe_machine()}, {torch.get_num_threads()} threads. Checked: grids (and the "
        f"kernel family's gradients) agree, with the convolution or their definition, to {differ:.0e}.",
        soft_wrap=True,
    )
    ways: dict[str, ToGrid] = {CONVOLUTION: published, **families}
    acts = {"": _forward, ", backward too": _forward_backward}
    cases = {
        f"{name}, batch {batch}{suffix}": partial(act, way, maps[:batch])
        for batch in batch_sizes
        for suffix, act in acts.items()
        for name, way in ways.items()
    }
    timings = alternate(cases, repeats, console=console)
    _print_report(console, timings)
    if json_path:
        write_json(json_path, "grid", timings, size=size, map=MAP, differ=differ)
    return timings


def convolution_grid(saliency: Saliency, *, size: int) -> Float[Tensor, "batch size size 2"]:
    """Return the grid by one large convolution (Recasens et al. 2018, section 3.2), borders replicated."""
    last = saliency.shape[-1] - 1
    place = torch.arange(-last, last + 1.0)
    line = torch.exp(-4 * math.log(2) * (place / FWHM_CELLS) ** 2)
    kernel = (line[:, None] * line)[None, None]
    padded = F.pad(saliency, [last] * 4, mode="replicate")
    x = 2 * torch.arange(-last, 2 * last + 1.0) / last - 1
    mass = F.conv2d(padded, kernel)
    nodes = torch.cat([F.conv2d(padded * x, kernel), F.conv2d(padded * x[:, None], kernel)], dim=1) / mass
    return _at_pixels(nodes.clamp(-1, 1), size).permute(0, 2, 3, 1)


def _at_pixels(nodes: Float[Tensor, "batch 2 rows cols"], size: int) -> Float[Tensor, "batch 2 size size"]:
    """Read the nodes, which lie from edge to edge, at the centres of pixels."""
    place = (2 * torch.arange(size) + 1) / size - 1
    y, x = torch.meshgrid(place, place, indexing="ij")
    where = torch.stack([x, y], dim=-1).expand(len(nodes), -1, -1, -1)
    return F.grid_sample(nodes, where, align_corners=True)


def check_grids(name: str, grid: Tensor, expected: Tensor) -> float:
    """Return by how much two grids differ.

    Raises:
        ValueError: By more than ``TOLERANCE``.
    """
    return check_agreement(f"{name} grids", grid, expected, TOLERANCE)


def gradients(ours: ToGrid, published: ToGrid, maps: Saliency) -> tuple[Tensor, Tensor]:
    """Return both gradients to the maps, for one weighted sum over the grid."""
    weights = torch.randn(ours(maps).shape, generator=torch.Generator().manual_seed(1))
    return _forward_backward(ours, maps, weights), _forward_backward(published, maps, weights)


def check_cdf(grid: Float[Tensor, "batch rows cols 2"], maps: Saliency) -> float:
    """Check that pixel j of n lies where the share of the saliency to its left (above it) is (j + 1/2) / n.

    Raises:
        ValueError: It does not.
    """
    wide, pixels = maps[:, 0].double(), grid.shape[1]
    wanted = (torch.arange(pixels, dtype=torch.float64) + 0.5) / pixels
    node = torch.linspace(-1, 1, maps.shape[-1], dtype=torch.float64)
    across, down = torch.trapezoid(wide, dim=1), torch.trapezoid(wide, dim=2)
    differences = [
        check_grids("cdf", _share_below(place, line, node), wanted.expand(len(maps), -1))
        for place, line in ((grid[:, 0, :, 0], across), (grid[:, :, 0, 1], down))
    ]
    return max(differences)


def _share_below(
    place: Float[Tensor, "batch pixels"], density: Float[Tensor, "batch nodes"], node: Float[Tensor, " nodes"]
) -> Float[Tensor, "batch pixels"]:
    """Integrate a piecewise linear density up to each position."""
    step = node[1] - node[0]
    whole = F.pad((density[:, 1:] + density[:, :-1]).cumsum(1) * step / 2, (1, 0))
    cell = ((place.double() + 1) / step).floor().clamp(0, len(node) - 2).long()
    part = (place.double() - node[cell]) / step
    left, right = density.gather(1, cell), density.gather(1, cell + 1)
    return (whole.gather(1, cell) + step * (left * part + (right - left) * part**2 / 2)) / whole[:, -1:]


def _families(size: int) -> dict[str, ToGrid]:
    of_kernel = partial(zoom_grid, out_size=(size, size), padding="replicate")
    return {
        "kernel": of_kernel,
        "separable": partial(of_kernel, family="separable"),
        "cdf": partial(zoom_grid, out_size=(size, size), family="cdf"),
    }


def _maps(batch: int) -> Saliency:
    logits = 2 * torch.randn(batch, MAP**2, generator=torch.Generator().manual_seed(0))
    return softmax_map(logits.view(batch, 1, MAP, MAP))


def _products(maps: Saliency) -> Saliency:
    product: Tensor = maps.sum(dim=2, keepdim=True) * maps.sum(dim=3, keepdim=True)
    return product


@torch.no_grad()
def _forward(way: ToGrid, maps: Saliency) -> Tensor:
    return way(maps)


def _forward_backward(way: ToGrid, maps: Saliency, weights: Tensor | None = None) -> Tensor:
    leaf = maps.clone().requires_grad_()
    grid = way(leaf)
    (gradient,) = torch.autograd.grad(grid, leaf, torch.ones_like(grid) if weights is None else weights)
    return gradient


def _in_largest(values: Tensor) -> Tensor:
    return values / values.abs().max()


def _print_report(console: Console, timings: dict[str, Timing]) -> None:
    rows = []
    for name, timing in timings.items():
        published = timings[f"{CONVOLUTION}, {name.partition(', ')[2]}"]
        rows.append([name, f"{1000 * timing.median:.2f}", f"{timing.times_faster_than(published):.0f}"])
    print_table(console, ["", "ms", "times as fast"], rows)
