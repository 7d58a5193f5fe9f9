"""Masks from a saliency map, by a budget, or from key points, by distance."""

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

from foveal.sampler.adaptive._levels import snapped, spread_blocks
from foveal.sampler.frames import cell_means, check_tensor, rows_and_cols


def saliency_mask(
    saliency: Float[Tensor, "batch 1 _rows _cols"],
    size: int | tuple[int, int],
    *,
    keep: float | Sequence[float],
) -> Int[Tensor, "batch 1 rows cols"]:
    """Return a mask that keeps a given share of each image fine: the share with the highest saliency.

    Args:
        saliency: A map of any size and scale over the whole image, its first and last nodes on the image's edges, such as a
            sampler's ``Zoomed.saliency``. The saliency of a block is its mean.
        size: (rows, cols) of the mask, or one number for both.
        keep: The share of the area at level 0; or one share for each level but the last, finest first, such as
            (0.1, 0.3) for a tenth at 0, three tenths at 1 and the rest at 2. Shares are rounded to whole blocks of the
            coarsest level, the same number for every image of a batch. Of equally salient blocks, the upper left ones
            come first.

    Raises:
        ValueError: The saliency has another shape or is not finite, a share is negative, their sum is above 1, or the size is not positive.
        TypeError: The saliency is no tensor.

    Example:
        >>> saliency_mask(torch.arange(8.0).view(1, 1, 2, 4), (4, 8), keep=0.25)[0, 0, ::2, ::2]
        tensor([[1, 1, 1, 1],
                [1, 1, 0, 0]])
    """
    check_tensor(saliency, "saliency")
    if saliency.ndim != 4 or saliency.shape[1] != 1:
        raise ValueError(
            f"saliency must be (batch, 1, rows, cols), got shape {tuple(saliency.shape)!r} – saliency[None, None] makes a batch of one map."
        )
    if not torch.compiler.is_compiling() and not bool(saliency.isfinite().all()):
        raise ValueError(f"saliency must be finite, got {saliency[~saliency.isfinite()][0].item()!r}.")
    shares = tuple(keep) if isinstance(keep, Iterable) else (keep,)
    if not shares or not all(share >= 0 for share in shares) or not sum(shares) <= 1 + 1e-9:
        raise ValueError(f"keep must be shares from 0 to 1 with a sum of at most 1, got {keep!r}.")
    size = rows_and_cols(size, "size")
    side = 2 ** len(shares)
    blocks = (math.ceil(size[0] / side), math.ceil(size[1] / side))
    edges = [
        [min(k * side / cells, 1.0) for k in range(count + 1)]
        for cells, count in zip(size, blocks, strict=True)
    ]
    values = cell_means(saliency.detach().float(), *edges)
    order = values.flatten(1).argsort(dim=1, descending=True, stable=True)
    count = blocks[0] * blocks[1]
    ends = torch.tensor([round(count * sum(shares[: k + 1])) for k in range(len(shares))])
    level = torch.searchsorted(ends, torch.arange(count), right=True).to(order.device)
    wanted = torch.empty_like(order).scatter_(1, order, level.expand_as(order)).view(-1, 1, *blocks)
    return spread_blocks(wanted, side, size)


def keypoint_mask(
    points: Sequence[Real[Tensor, "_count 2"]], size: int | tuple[int, int], *, radii: Sequence[int]
) -> Int[Tensor, "batch 1 rows cols"]:
    """Return a mask that is finer the nearer a cell is to a key point (Hesse et al. 2023, 4.2: dilated key points).

    Args:
        points: For each image (n, 2): (x, y) as fractions of its width and height. A point that is NaN is absent.
        size: (rows, cols) of the mask, or one number for both.
        radii: In cells, ascending: within the first radius of a point (the larger of the distances in rows and columns)
            the mask is 0, within the second 1, and so on; beyond the last it is ``len(radii)``. Blocks that would be
            incomplete are made finer.

    Raises:
        ValueError: Points lie outside the image or have another shape, radii do not ascend, or the size is not positive.
        TypeError: Points are no tensor.

    Example:
        >>> keypoint_mask([torch.tensor([[0.0, 0.0]])], (2, 8), radii=(1, 4))[0, 0, 0]
        tensor([0, 0, 1, 1, 1, 1, 1, 1])
    """
    size = rows_and_cols(size, "size")
    if not radii or list(radii) != sorted(radii) or radii[0] < 0:
        raise ValueError(f"radii must be at least one, from 0 on and ascending, got {tuple(radii)!r}.")
    far = [_distance(each, size, position) for position, each in enumerate(points)]
    distance = torch.stack(far)[:, None] if far else torch.empty(0, 1, *size)
    wanted = torch.stack([distance > radius for radius in radii]).sum(dim=0)
    return snapped(wanted)


def _distance(
    points: Real[Tensor, "_count 2"], size: tuple[int, int], position: int
) -> Float[Tensor, "rows cols"]:
    """The distance of each cell from the nearest cell with a point, in cells: the larger of the distances along the two axes."""
    check_tensor(points, f"points[{position}]")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points[{position}] must be (n, 2), got shape {tuple(points.shape)!r}.")
    points = points[~points.isnan().any(dim=1)].to(torch.promote_types(points.dtype, torch.float32))
    if not bool(((points >= 0) & (points <= 1)).all()):
        raise ValueError(
            f"points[{position}] must be fractions of the image's width and height, got values from "
            f"{points.min().item()!r} to {points.max().item()!r}: divide pixels by the size."
        )
    rows, cols = (torch.arange(n, device=points.device) for n in size)
    col, row = ((points[:, k] * n).floor().clamp(max=n - 1) for k, n in ((0, size[1]), (1, size[0])))
    down, across = (row[:, None] - rows).abs(), (col[:, None] - cols).abs()
    apart = torch.maximum(down[:, :, None], across[:, None, :])
    beyond = apart.new_full((1, *size), math.inf)  # without any point, every cell is far
    return torch.cat([apart, beyond]).amin(dim=0)
