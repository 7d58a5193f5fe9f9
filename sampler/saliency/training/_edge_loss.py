"""A loss that trains saliency to lie where classes meet, for a zoom that learns with a segmentation."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from foveal.sampler.frames import constant, to_lattice
from foveal.sampler.saliency._log_shares import log_shares


def edge_loss(
    saliency: Float[Tensor, "batch 1 rows cols"],
    masks: Integer[Tensor, "batch height width"],
    *,
    sigma: float = 1.0,
) -> Float[Tensor, ""]:
    """Return how much saliency differs from the boundaries of classes (after Jin et al., Learning to Downsample, ICLR 2022).

    The Kullback-Leibler divergence from a map of the classes' boundaries, blurred by a Gaussian, to the saliency: zero where they are equal.
    The published loss is the squared error, whose size depends on the number of cells. For an image of one class, the
    target is an even map.

    Args:
        saliency: The saliency of a sampler, with a sum of one for each image.
        masks: Class ids over the same area as the saliency (the view if there are views), at any resolution, such as
            ``torch.stack(unwarp_masks(masks, grid, (64, 64)))`` of masks that were zoomed.
        sigma: Standard deviation of the Gaussian, in cells of the map.

    Returns:
        The mean over the batch, in nats.

    Raises:
        ValueError: There are not as many masks as maps, or ``sigma`` is not positive.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma!r}.")
    if len(masks) != len(saliency):
        raise ValueError(f"masks must be {len(saliency)}, one for each map, got {len(masks)}.")
    rows, cols = saliency.shape[2:]
    found = to_lattice(_boundaries(masks).to(saliency), (rows, cols))
    blurred = _blur(rows, sigma).to(saliency) @ found @ _blur(cols, sigma).to(saliency).mT
    wanted = log_shares(blurred, 0.0)
    # The divergence is infinite if the saliency is zero where the target is not, so zeros are replaced by the smallest
    # normal number.
    given = saliency.clamp(min=torch.finfo(saliency.dtype).tiny).log()
    each = torch.where(wanted.isfinite(), wanted.exp() * (wanted - given), 0)
    return each.sum(dim=(1, 2, 3)).mean()


def _boundaries(masks: Integer[Tensor, "batch height width"]) -> Float[Tensor, "batch 1 height width"]:
    """1 in each pixel that has a neighbour of another class, else 0."""
    ids = masks[:, None]
    across, down = ids[..., 1:] != ids[..., :-1], ids[..., 1:, :] != ids[..., :-1, :]
    met = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
    met[..., 1:] |= across
    met[..., :-1] |= across
    met[..., 1:, :] |= down
    met[..., :-1, :] |= down
    return met.float()


@constant
def _blur(nodes: int, sigma: float) -> Float[Tensor, "nodes nodes"]:
    """Row k: the weights of the existing nodes for the blurred node k."""
    at = torch.arange(nodes, dtype=torch.float64)
    weight = torch.exp(-((at - at[:, None]) ** 2) / (2 * sigma**2))
    return weight / weight.sum(dim=1, keepdim=True)
