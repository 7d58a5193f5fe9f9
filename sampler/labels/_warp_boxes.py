"""Boxes through the zoom, in both directions: the exact tightest box around the warped box.

The leftmost point of a warped box lies on the box's left side, and so on. Along a side the map is monotone between two
rows of the grid (linear in one direction, a quotient of linear functions in the other), so the extreme is at one of the
rows that the side crosses, or at its ends, and no sampling is needed.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor

from foveal.sampler.frames import (
    SourceSize,
    Views,
    as_given,
    boxes_around,
    check_corners,
    inverse,
    padded,
    widths_and_heights,
)
from foveal.sampler.labels._inverse_map import rows_at, to_output
from foveal.sampler.labels._warp_map import Nodes, to_source, warp_nodes

# Further out than any image, in pixels: what lies beyond is clipped all the same, and infinity has no place on a grid.
_FAR = 1e9


def warp_boxes(
    boxes: Sequence[Real[Tensor, "_count 4"]],
    grid: Float[Tensor, "batch height width 2"],
    source_size: SourceSize,
    *,
    views: Views | None = None,
) -> tuple[list[Float[Tensor, "_kept 4"]], list[Int[Tensor, " _kept"]]]:
    """Return the tightest boxes around the warped boxes of the source images, in the zoomed images.

    Args:
        boxes: For each image its own (n, 4) tensor of (x0, y0, x1, y1) in pixels of the source: the whole image is
            (0, 0, width, height). n may be zero.
        grid: The grid that the images were sampled with.
        source_size: (height, width) of the source images in pixels: one for all, or one for each.
        views: Those that the images were sampled with, if any: (batch, 2, 3), as :func:`compose` has them.
            In a rotated view, each box is first replaced by the upright box around its corners.

    Returns:
        For each image the boxes (k, 4) in pixels of the zoomed image, clipped to it, without those that it does not show;
        and for each image the k indices of the boxes that were kept, by which to select their labels. float64 if
        the boxes are, else float32; on the boxes' device. No gradient.

    Raises:
        ValueError: Grid, boxes or sizes have another shape or do not go together; the grid is not finite, or folds or turns
            over; or a box has its corners exchanged.
        TypeError: The grid, or the boxes of an image, are no tensor.

    Example:
        >>> grid = zoom_grid(torch.ones(1, 1, 31, 31), (200, 100))
        >>> warp_boxes([torch.tensor([[300.0, 30.0, 360.0, 80.0]])], grid, (400, 600))
        ([tensor([[50.0000, 15.0000, 60.0000, 40.0000]])], [tensor([0])])
    """
    nodes, size = warp_nodes(grid, views), widths_and_heights(source_size, grid)
    sides = 2 * _padded_boxes(boxes, grid) / size.repeat(1, 1, 2) - 1
    if views is not None:
        sides = boxes_around(inverse(views), sides)
    x0, y0, x1, y1 = sides.unbind(dim=-1)
    turned = nodes.transpose(1, 2).flip(-1)
    found = torch.stack(
        [
            _reach(nodes, x0, (y0, y1))[0],
            _reach(turned, y0, (x0, x1))[0],
            _reach(nodes, x1, (y0, y1))[1],
            _reach(turned, y1, (x0, x1))[1],
        ],
        dim=-1,
    )
    clipped = as_given(_clip(found, grid.new_tensor([grid.shape[2], grid.shape[1]])), boxes)
    # A box without extent shows nothing, though rounding may give it some.
    kept = [
        (_has_extent(warped) & _has_extent(given.double()).to(warped.device)).nonzero()[:, 0]
        for warped, given in zip(clipped, boxes, strict=True)
    ]
    return [b[k] for b, k in zip(clipped, kept, strict=True)], kept


def unwarp_boxes(
    boxes: Sequence[Real[Tensor, "_count 4"]],
    grid: Float[Tensor, "batch height width 2"],
    source_size: SourceSize,
    *,
    views: Views | None = None,
) -> list[Float[Tensor, "_count 4"]]:
    """Return the tightest boxes in the source images around boxes of the zoomed images, such as predictions.

    As :func:`warp_boxes` with the frames exchanged, but all boxes are kept: those that reach beyond the source are clipped
    to it, down to nothing if need be. Gradients flow into the boxes.
    """
    nodes, size = warp_nodes(grid, views), widths_and_heights(source_size, grid)
    x0, y0, x1, y1 = _padded_boxes(boxes, grid).unbind(dim=-1)
    left, right = (_side(nodes, x, (y0, y1))[..., 0] for x in (x0, x1))
    turned = nodes.transpose(1, 2).flip(-1)
    top, bottom = (_side(turned, y, (x0, x1))[..., 0] for y in (y0, y1))
    found = torch.stack([left.amin(-1), top.amin(-1), right.amax(-1), bottom.amax(-1)], dim=-1)
    if views is not None:
        found = boxes_around(views, found)
    return as_given(_clip((found + 1) / 2 * size.repeat(1, 1, 2), size), boxes)


def _reach(
    nodes: Nodes, x: Float[Tensor, "batch boxes"], ends: tuple[Tensor, Tensor]
) -> tuple[Float[Tensor, "batch boxes"], Float[Tensor, "batch boxes"]]:
    """The least and the largest x in the zoomed image along the upright line at x in the source, between two y."""
    column, y, _ = rows_at(nodes, x)
    at_ends = to_output(nodes, x, torch.stack(ends, dim=-1))[..., 0]
    crossed = ((y > ends[0][:, None]) & (y < ends[1][:, None])).mT
    on_rows = column.mT - 0.5
    least = torch.cat([torch.where(crossed, on_rows, torch.inf), at_ends], dim=-1).amin(dim=-1)
    return least, torch.cat([torch.where(crossed, on_rows, -torch.inf), at_ends], dim=-1).amax(dim=-1)


def _side(
    nodes: Nodes, x: Float[Tensor, "batch boxes"], ends: tuple[Tensor, Tensor]
) -> Float[Tensor, "batch boxes points 2"]:
    """Where the upright line at x in the zoomed image between two y lies in the source: at its ends and on each row."""
    rows = torch.arange(1, nodes.shape[1] - 1, dtype=x.dtype, device=x.device) - 0.5
    inside = torch.minimum(torch.maximum(rows, ends[0][..., None]), ends[1][..., None])
    y = torch.cat([torch.stack(ends, dim=-1), inside], dim=-1)
    points = torch.stack([x[..., None].expand(y.shape), y], dim=-1)
    return to_source(nodes, points.flatten(1, 2)).view(points.shape)


def _has_extent(boxes: Real[Tensor, "count 4"]) -> Bool[Tensor, " count"]:
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def _clip(
    boxes: Float[Tensor, "batch boxes 4"], size: Float[Tensor, "*batch 2"]
) -> Float[Tensor, "batch boxes 4"]:
    return boxes.clamp(min=0).minimum(torch.cat([size, size], dim=-1).to(boxes.dtype))


def _padded_boxes(
    boxes: Sequence[Real[Tensor, "_count 4"]], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch most 4"]:
    filled = padded(boxes, grid, columns=4, name="boxes")
    for position, each in enumerate(boxes):
        check_corners(each, position)
    return filled.clamp(-_FAR, _FAR)
