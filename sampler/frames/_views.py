"""Views: augmentation inside the grid. A view describes flips, crops and rotations of an image that are not applied to its pixels.

A view is an affine map (2, 3), as ``torch.nn.functional.affine_grid`` has its theta: it takes (x, y, 1) in [-1, 1] of the
view to (x, y) in [-1, 1] of the source. The zoom is computed in the frame of the view and composed with it, so the source
is sampled once, with the footprint of both.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames._frame import identity_grid
from foveal.sampler.frames._images import Images, check_images, check_tensor, count, grid_form
from foveal.sampler.frames._ragged_labels import check_corners

Views = Float[Tensor, "batch 2 3"]

_CORNERS = [0, 1, 2, 1, 0, 3, 2, 3]  # indices in (x0, y0, x1, y1) of four points (x, y)
# As fractions of the image. Boxes may reach beyond it; further out they must be pixels.
_LEAST, _MOST = -1.0, 2.0


def compose(views: Views, grid: Float[Tensor, "batch *places 2"]) -> Float[Tensor, "batch *places 2"]:
    """Return the positions of points of the views in their sources: ``views @ (x, y, 1)``.

    Args:
        views: (batch, 2, 3), from [-1, 1] of the view to [-1, 1] of the source, on the grid's device.
        grid: Points (x, y) in [-1, 1] of the views, of any number of dimensions in the middle.

    Returns:
        Points of the sources, as many, of the grid's dtype also under autocast. Gradients reach both arguments.

    Raises:
        ValueError: The views have another shape, or another number than the grids.
        TypeError: One of both is no tensor.

    Example:
        >>> flip = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> compose(flip, torch.tensor([[[0.5, 0.25]]]))
        tensor([[[-0.5000,  0.2500]]])
    """
    check_tensor(grid, "grid")
    check_views(views, grid.shape[0])
    # Not a matrix product, because autocast would reduce it to half precision, and TF32 to ten bits.
    matrix = views.to(grid.dtype).view(views.shape[0], *[1] * (grid.ndim - 2), 2, 3)
    return matrix[..., 0] * grid[..., :1] + matrix[..., 1] * grid[..., 1:] + matrix[..., 2]


def inverse(views: Views) -> Views:
    """Return the maps from the sources to the views, in float64.

    Raises:
        ValueError: A view shows a line or a point, or is not finite.
        TypeError: They are no tensor.
    """
    check_tensor(views, "views")
    (a, b, c), (d, e, f) = (row.unbind(dim=-1) for row in views.double().unbind(dim=-2))
    area = a * e - b * d
    wrong = ~(area.isfinite() & (area != 0))
    if bool(wrong.any()):
        raise ValueError(f"views must be finite and of some area, got {views[wrong][0].tolist()!r}.")
    rows = [torch.stack([e, -b, b * f - e * c], dim=-1), torch.stack([-d, a, d * c - a * f], dim=-1)]
    return torch.stack(rows, dim=-2) / area[:, None, None]


def into_views(
    points: Float[Tensor, "batch *places 2"], views: Views | None
) -> Float[Tensor, "batch *places 2"]:
    """From [-1, 1] of the sources to [-1, 1] of the views, where there are any."""
    return points if views is None else compose(inverse(views), points)


def out_of_views(
    points: Float[Tensor, "batch *places 2"], views: Views | None
) -> Float[Tensor, "batch *places 2"]:
    """From [-1, 1] of the views, where there are any, to [-1, 1] of the sources."""
    return points if views is None else compose(views, points)


def planes_out_of_views(
    points: Float[Tensor, "batch 2 rows cols"], views: Views | None
) -> Float[Tensor, "batch 2 rows cols"]:
    """Do the same as :func:`out_of_views`, with all x in one plane and all y in another."""
    if views is None:
        return points
    check_views(views, points.shape[0])
    by_x, by_y, shift = views.to(points.dtype)[..., None, None].unbind(dim=2)
    return by_x * points[:, :1] + by_y * points[:, 1:] + shift


def boxes_around(affine: Views, boxes: Float[Tensor, "batch boxes 4"]) -> Float[Tensor, "batch boxes 4"]:
    """The tightest boxes around affinely mapped boxes (x0, y0, x1, y1); exact for flips and rotations by 90 degrees."""
    corners = compose(affine, boxes[..., _CORNERS].reshape(*boxes.shape[:2], 4, 2))
    return torch.cat([corners.amin(dim=-2), corners.amax(dim=-2)], dim=-1)


def boxes_in_views(
    boxes: Sequence[Float[Tensor, "_count 4"]], views: Views | None, batch: int
) -> list[Float[Tensor, "_count 4"]]:
    """Check boxes given as fractions of the sources, and return them as fractions of the views.

    Raises:
        ValueError: The number of lists is not that of images, or one has another shape, has its corners exchanged, or is
            in pixels.
    """
    if len(boxes) != batch:
        raise ValueError(f"boxes must be a list of {batch} tensors, one for each image, got {len(boxes)}.")
    for position, each in enumerate(boxes):
        _check_fractions(each, position)
    if views is None:
        return list(boxes)
    there = inverse(views)
    return [
        ((boxes_around(there[k : k + 1], 2 * each[None].to(there) - 1)[0] + 1) / 2).to(each.dtype)
        for k, each in enumerate(boxes)
    ]


def even_grid(
    images: Images, size: tuple[int, int], views: Views | None
) -> Float[Tensor, "batch height width 2"]:
    """The grid that samples each image, or its view, evenly, as :func:`grid_form` says. Raises as :func:`check_images` does."""
    check_images(images)
    return out_of_views(identity_grid(size, *grid_form(images)).expand(count(images), -1, -1, -1), views)


def check_views(views: Views, batch: int) -> None:
    """Raise if views are not those of this many images.

    Raises:
        ValueError: They have another shape.
        TypeError: They are no tensor.
    """
    check_tensor(views, "views")
    if tuple(views.shape) != (batch, 2, 3):
        raise ValueError(
            f"views must be ({batch}, 2, 3), an affine map for each image, got shape {tuple(views.shape)!r}."
        )


def _check_fractions(boxes: Float[Tensor, "_count 4"], position: int) -> None:
    check_tensor(boxes, f"boxes[{position}]")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes[{position}] must be (n, 4), got shape {tuple(boxes.shape)!r}.")
    if torch.compiler.is_compiling():  # an exported graph cannot depend on values
        return
    check_corners(boxes, position)
    far = ((boxes < _LEAST) | (boxes > _MOST)).any(dim=1)
    if bool(far.any()):
        raise ValueError(
            f"boxes[{position}] must be fractions of the image's width and height, got "
            f"{boxes[far][0].tolist()!r}: divide pixels by the size."
        )
