"""The tightest places of grids on the CPU: numba's kernel, shared out among threads."""

from jaxtyping import Float, Int
from torch import Tensor

from foveal.sampler.threads import spread


def find_tightest_on_cpu(
    grid: Float[Tensor, "batch height width 2"],
    places: tuple[Int[Tensor, " rows"], Int[Tensor, " cols"]],
    scale: tuple[float, float],
    bounds: tuple[float, float],
    found: tuple[Int[Tensor, "batch 3"], Float[Tensor, " batch"]],
    *,
    singular: bool,
) -> None:
    """Fill ``found`` for each grid, as the kernel does: with (corner, row, col), and with what may be kept there."""
    from foveal.sampler.kernels.cpu._tightest import find_tightest  # noqa: PLC0415 - numba is loaded by the first call

    grids, into, least = (each.detach().contiguous().numpy() for each in (grid, *found))
    rows, cols = (each.numpy() for each in places)
    spread(
        lambda k: find_tightest(grids[k], (rows, cols), scale, bounds, singular, into[k], least[k : k + 1]),
        len(grids),
    )
