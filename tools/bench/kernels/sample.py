"""``foveal bench sample``: how long does it take to sample 224x224 pixels from 12 megapixels on the CPU?

Both sides start from decoded images, uint8 and ``(height, width, 3)``, and a grid, and end with the gradient to the
grid, which is all that a saliency network learns from; neither computes a gradient to the image. By hand, image by
image since their sizes differ: ``float()``, channels first, ``F.grid_sample``, and its backward. Here: ``sample`` on a
batch, and its backward. Times are per image. A batch of one image is timed too, which shows the overhead of a call. Both
sides read one point for each output pixel. The last line is the time if `sample` averages over the pixel's footprint
instead, which is its default.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from jaxtyping import Float, UInt8
from rich.console import Console
from torch import Tensor

from foveal.sampler import sample, zoom_grid
from foveal.sampler.kernels.plain import average_dense
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.timing import alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table
from foveal.tools.scenes.scenes import draw_scene

IMAGE_SIZE = (3000, 4000)
TOLERANCE = 1e-4

BATCH = 8

Images = list[UInt8[Tensor, "_height _width 3"]]
Sampling = Callable[[Images, Tensor], Tensor]


def bench_sample(
    *,
    repeats: int = 7,
    size: int = 224,
    image_size: tuple[int, int] = IMAGE_SIZE,
    json_path: Path | None = None,
) -> float:
    """Time both after checking that they agree, print a table, and return how many times as fast `sample` reads points.

    Args:
        repeats: Rounds.
        size: Height and width of the output, in pixels.
        image_size: (height, width) of the image, in pixels.
        json_path: Where the numbers go too.

    Raises:
        ValueError: Outputs or gradients differ.
    """
    console = Console()
    torch.manual_seed(0)
    height, width = image_size
    scene = torch.from_numpy(draw_scene(0, size=(width, height)).image)
    images = [scene.roll(k * width // BATCH, dims=1) for k in range(BATCH)]
    grid = off_the_lattice(example_grid(size), image_size).repeat(BATCH, 1, 1, 1)
    weights = torch.randn(BATCH, 3, size, size)
    outputs, gradients = check_samplings(sample_points, sample_by_hand, images, grid, weights)
    # In float32 a footprint may end on the other side of a cell's edge, where the gradient differs.
    check_samplings(sample, sample_dense, images[:1], grid[:1].double(), weights[:1].double())
    console.print(
        f"{height * width / 1e6:.1f} MP to {size} × {size}, forward and backward to the grid, "
        f"{describe_machine()}; differ by {outputs:.0e} (outputs) and {gradients:.0e} (gradients)",
        soft_wrap=True,
    )
    one = images[:1], grid[:1], weights[:1]
    cases = {
        "float() and F.grid_sample": lambda: forward_backward(sample_by_hand, *one),
        "points, one image, cache swept": lambda: forward_backward(sample_points, *one),
        "points, one image, again": lambda: forward_backward(sample_points, *one),
        f"points, batch of {BATCH}": lambda: forward_backward(sample_points, images, grid, weights),
        f"anti-aliased, batch of {BATCH}": lambda: forward_backward(sample, images, grid, weights),
    }
    timings = alternate(cases, repeats, console=console)
    by_hand, *_, points, antialiased = timings
    batches = {name: timings[name].divided_by(BATCH) for name in (points, antialiased)}
    per_image = {**timings, **batches}
    rows = [
        [name, f"{1000 * t.median:.2f}", f"{t.times_faster_than(timings[by_hand]):.1f}"]
        for name, t in per_image.items()
    ]
    print_table(console, ["", "ms an image", "times as fast"], rows)
    ratio = batches[points].times_faster_than(timings[by_hand])
    cost = batches[points].times_faster_than(batches[antialiased])
    console.print(f"Anti-aliased takes {cost:.1f} times as long as points.")
    if json_path:
        facts = {"image_size": image_size, "size": size, "times_as_fast": ratio, "antialias_cost": cost}
        write_json(json_path, "sample", per_image, **facts)
    return ratio


def sample_by_hand(
    images: Images, grid: Float[Tensor, "batch rows cols 2"]
) -> Float[Tensor, "batch 3 rows cols"]:
    """Return the fastest code that a user of PyTorch would write: values are scaled to [0, 1] after sampling, not before."""
    dense = [image.permute(2, 0, 1)[None].float() for image in images]
    pairs = zip(dense, grid, strict=True)
    sampled = [
        F.grid_sample(image, points[None], padding_mode="border", align_corners=False)
        for image, points in pairs
    ]
    return torch.cat(sampled) / 255


def sample_points(
    images: Images, grid: Float[Tensor, "batch rows cols 2"]
) -> Float[Tensor, "batch 3 rows cols"]:
    """Return the same from the operator."""
    return sample(images, grid, antialias=False)


def sample_dense(
    images: Images, grid: Float[Tensor, "batch rows cols 2"]
) -> Float[Tensor, "batch 3 rows cols"]:
    """Return the anti-aliased pixels from floating-point images: by plain torch, not by the kernel."""
    pairs = zip(images, grid, strict=True)
    return torch.cat(
        [average_dense(image.permute(2, 0, 1)[None].to(grid.dtype), points[None]) for image, points in pairs]
    ).div(255)


def forward_backward(
    sampling: Sampling, images: Images, grid: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the sampled pixels, and the gradient to the grid of their weighted sum."""
    leaf = grid.detach().requires_grad_()
    output = sampling(images, leaf)
    (gradient,) = torch.autograd.grad(output, leaf, weights)
    return output.detach(), gradient


def check_samplings(
    ours: Sampling, reference: Sampling, images: Images, grid: Tensor, weights: Tensor
) -> tuple[float, float]:
    """Return by how much outputs and gradients differ, each relative to its largest value.

    Raises:
        ValueError: By more than ``TOLERANCE``.
    """
    found = forward_backward(ours, images, grid, weights)
    expected = forward_backward(reference, images, grid, weights)
    outputs = check_agreement("outputs", found[0], expected[0], TOLERANCE, relative=True)
    return outputs, check_agreement("gradients", found[1], expected[1], TOLERANCE, relative=True)


def example_grid(size: int) -> Float[Tensor, "1 size size 2"]:
    """Return a grid that zooms to a spot left of the middle."""
    rows, cols = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    saliency = 0.1 + torch.exp(-((rows - 18) ** 2 + (cols - 10) ** 2) / 20)
    return zoom_grid(saliency[None, None], (size, size))


def off_the_lattice(
    grid: Float[Tensor, "1 rows cols 2"], image_size: tuple[int, int]
) -> Float[Tensor, "1 rows cols 2"]:
    """Return the grid with no point within 0.05 pixels of a row or column of pixel centres.

    There the slope of bilinear interpolation jumps, and rounding would decide which of two correct gradients is computed.
    """
    height, width = image_size
    scale = torch.tensor([width, height]) / 2
    position = (grid + 1) * scale - 0.5
    cell = position.floor()
    return (cell + 0.05 + 0.9 * (position - cell) + 0.5) / scale - 1
