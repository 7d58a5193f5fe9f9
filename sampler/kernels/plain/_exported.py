"""Anti-aliased `sample` for graphs that leave the process: torch's own operators alone, and no row counted while tracing.

`mean_over` asks the grid how many rows the tallest footprint has. A graph that is recorded once, for any grid and any size
of image, has a loop instead (`torch.while_loop`; ONNX's `Loop`), which does the same sums.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.kernels._footprint import footprints
from foveal.sampler.kernels.plain._antialias import RowSums, RowsUnder


def average_in_graph(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """Average images of one size over the grid's footprints, without derivatives.

    torch differentiates its loop, but for what stands outside it (the images, the grid) by the last round alone.
    """
    from torch._higher_order_ops.while_loop import while_loop  # noqa: PLC0415 - loads torch's compiler

    foot = footprints(grid.detach(), (images.shape[2], images.shape[3]))
    rows, under = RowSums(images.detach()), RowsUnder(foot)
    most = under.most

    def goes_on(k: Tensor, total: Tensor) -> Tensor:
        del total
        return k < most

    def add_row(k: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        return k + 1, total + rows.inside(under.row(k))

    none = torch.zeros((), dtype=grid.dtype, device=grid.device)
    total: Tensor = while_loop(goes_on, add_row, (none, rows.none(foot)))[1]  # type: ignore[no-untyped-call]
    return (total / (foot.across * foot.down)[:, None]).to(images.dtype)
