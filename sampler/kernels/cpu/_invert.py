"""The inverse of grids on the CPU: numba's kernels, distributed over threads."""

from jaxtyping import Float
from torch import Tensor

from foveal.sampler.threads import spread, spread_rows


def fill_nodes_on_cpu(
    points: Float[Tensor, "batch height width 2"],
    nodes: Float[Tensor, "batch height_2 width_2 2"],
    found: Float[Tensor, "batch 3"],
    rounding: Float[Tensor, " batch"],
    least_step: float,
) -> None:
    """Fill ``nodes``, in float64 whatever the points are, and ``found`` with what a check of each grid needs.

    That is its least step along x and along y, NaN if a point is not finite; and how many of its cells turn over by more than
    the rounding of its numbers. Beyond the outermost points the nodes continue by at least ``least_step`` uniform steps.
    """
    from foveal.sampler.kernels.cpu._inverse import fill_nodes  # noqa: PLC0415 - numba is loaded by the first call

    whole, into, facts = points.contiguous().numpy(), nodes.numpy(), found.numpy()
    steps = [(least_step, each) for each in rounding.tolist()]
    spread(lambda k: fill_nodes(whole[k], into[k], steps[k], facts[k]), len(points))


def find_places_on_cpu(
    nodes: Float[Tensor, "batch height_2 width_2 2"],
    x: Float[Tensor, "batch lines"],
    y: Float[Tensor, "batch lines points"],
    places: Float[Tensor, "batch lines points 2"],
) -> None:
    """Fill ``places`` with the positions of the points (x[b, p], y[b, p, q]) among the nodes, counted in nodes."""
    from foveal.sampler.kernels.cpu._inverse import find_places  # noqa: PLC0415 - as above

    xs, ys, into = x.contiguous().numpy(), y.contiguous().numpy(), places.numpy()
    lattices = nodes.contiguous().numpy()
    spread_rows(
        lambda k, lines: find_places(lattices[k], xs[k], ys[k], into[k], lines), len(nodes), x.shape[1]
    )
