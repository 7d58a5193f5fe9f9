"""`sample` on the CPU: numba's kernels, shared out among threads by rows of the output."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from foveal.sampler.threads import spread_rows


def sample_on_cpu(
    images: Sequence[UInt8[Tensor, "_height _width 3"]],
    grid: Float[Tensor, "batch height width 2"],
    pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch 2 3 _height _width"],
    *,
    antialias: bool,
    scale: Sequence[float],
    shift: Sequence[float],
) -> None:
    """Fill ``pixels``, contiguous or channels-last, of any dtype, and ``slope``, of the grid's dtype, unless it is empty."""
    from foveal.sampler.kernels.cpu._antialias import antialias_into  # noqa: PLC0415 - numba is loaded by the first call
    from foveal.sampler.kernels.cpu._points import sample_into  # noqa: PLC0415 - as above

    write_into = antialias_into if antialias else sample_into
    points, steps = grid.detach().contiguous().numpy(), slope.numpy()
    tone = np.array([scale, shift], dtype=points.dtype)
    whole = [image.contiguous().numpy() for image in images]
    exact = pixels if pixels.dtype == grid.dtype else torch.empty_like(pixels, dtype=grid.dtype)
    channels_last = not exact.is_contiguous()
    into = (
        (exact.permute(0, 2, 3, 1) if channels_last else exact).view(len(images), exact[0:1].numel()).numpy()
    )

    def work(k: int, rows: tuple[int, int]) -> None:
        write_into(whole[k], points[k], into[k], steps[k], tone, channels_last, rows)

    spread_rows(work, len(images), grid.shape[1])
    if exact is not pixels:
        pixels.copy_(exact)


def pull_back_on_cpu(
    by_pixels: Float[Tensor, "batch 3 height width"],
    slope: Float[Tensor, "batch 2 3 height width"],
    by_grid: Float[Tensor, "batch height width 2"],
) -> None:
    """Fill ``by_grid`` with the sums over the channels of ``by_pixels``, of any strides and dtype, times ``slope``."""
    from foveal.sampler.kernels.cpu._points import pull_back_into  # noqa: PLC0415 - as above

    weights = by_pixels.to(slope.dtype, memory_format=torch.contiguous_format).contiguous().numpy()
    steps, into = slope.numpy(), by_grid.numpy()

    def work(k: int, rows: tuple[int, int]) -> None:
        pull_back_into(weights[k], steps[k], into[k], rows)

    spread_rows(work, len(slope), slope.shape[3])
