"""Anti-aliased `sample` of dense floating-point images on the CPU, and its way back: numba's kernels, shared out among threads."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from foveal.sampler.threads import spread, spread_rows


def average_dense_on_cpu(
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch channel height width"],
) -> None:
    """Fill ``pixels`` with averages over the grid's footprints. All are of one dtype, here and below."""
    whole, points, into = images.contiguous().numpy(), grid.contiguous().numpy(), pixels.numpy()

    spread_rows(lambda k, rows: _average(whole[k], points[k], into[k], rows), len(whole), grid.shape[1])


def _average(image: Any, points: Any, pixels: Any, rows: tuple[int, int]) -> None:
    from foveal.sampler.kernels.cpu._dense import AT_ONCE, average_into  # noqa: PLC0415 - numba is loaded by the first call

    for first in range(0, len(image), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        average_into(image[some], points, pixels[some], rows)


def dense_to_images_on_cpu(
    by_pixels: Float[Tensor, "batch channel height width"],
    grid: Float[Tensor, "batch height width 2"],
    by_images: Float[Tensor, "batch channel _height _width"],
) -> None:
    """Fill ``by_images`` with the derivatives by the images, from those by the averages."""
    from foveal.sampler.kernels.cpu._dense import pull_back_to_image  # noqa: PLC0415 - as above

    weights, points, into = by_pixels.contiguous().numpy(), grid.contiguous().numpy(), by_images.numpy()
    into.fill(0)
    # Not by rows: footprints of several rows may share pixels.
    spread(lambda k: pull_back_to_image(weights[k], points[k], into[k], (0, points.shape[1])), len(weights))


def dense_to_grid_on_cpu(
    by_pixels: Float[Tensor, "batch channel height width"],
    images: Float[Tensor, "batch channel _height _width"],
    grid: Float[Tensor, "batch height width 2"],
    by_grid: Float[Tensor, "batch height width 2"],
) -> None:
    """Fill ``by_grid`` with the derivatives by the grid, from those by the averages."""
    from foveal.sampler.kernels.cpu._pull_back import pull_numbers_back_into  # noqa: PLC0415 - as above

    weights, whole = by_pixels.contiguous().numpy(), images.contiguous().numpy()
    points, into = grid.contiguous().numpy(), by_grid.numpy()
    batch, height, width, _ = grid.shape
    numbers = grid.new_zeros(batch, 5, height, width).numpy()
    size = images.shape[2], images.shape[3]

    spread_rows(lambda k, rows: _numbers(whole[k], points[k], weights[k], numbers[k], rows), batch, height)
    spread_rows(
        lambda k, rows: pull_numbers_back_into(numbers[k], points[k], size, into[k], rows), batch, height
    )


def _numbers(image: Any, points: Any, weights: Any, numbers: Any, rows: tuple[int, int]) -> None:
    from foveal.sampler.kernels.cpu._dense import AT_ONCE, pull_back_to_numbers  # noqa: PLC0415 - as above

    for first in range(0, len(image), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        pull_back_to_numbers(image[some], points, weights[some], numbers, rows)
