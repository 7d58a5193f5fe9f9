"""A loss that draws saliency to where classes meet, for a zoom that learns with a segmentation."""

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
    """Return how far saliency is from lying where classes meet (after Jin et al., Learning to Downsample, ICLR 2022).

    The Kullback-Leibler divergence from a map of the classes' boundaries, blurred by a Gaussian, to the saliency: zero where they are equal.
    Published is the squared error, whose size depends on how many cells the map has. An image of one class asks for an
    even map.

    Args:
        saliency: A sampler's, with a sum of one for each image.
        masks: Class ids over what the saliency lies over, which is the view if there are views: at any resolution, such as
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
    # A map that has no weight at a place is infinitely far from one that has; the least normal number stands for none.
    given = saliency.clamp(min=torch.finfo(saliency.dtype).tiny).log()
    each = torch.where(wanted.isfinite(), wanted.exp() * (wanted - given), 0)
    return each.sum(dim=(1, 2, 3)).mean()


def _boundaries(masks: Integer[Tensor, "batch height width"]) -> Float[Tensor, "batch 1 height width"]:
    """One in each pixel beside or below which, or before or above which, another class is."""
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
    """Row k: the weights with which nodes make up the blurred node k, of those that there are."""
    at = torch.arange(nodes, dtype=torch.float64)
    weight = torch.exp(-((at - at[:, None]) ** 2) / (2 * sigma**2))
    return weight / weight.sum(dim=1, keepdim=True)
