"""Saliency that is given with each image: attention of another model, gaze, depth, uncertainty."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample

from foveal.sampler.frames import Views, even_grid, rows_and_cols, to_lattice
from foveal.sampler.saliency._log_shares import check_floor, log_shares

GivenMap = Real[Tensor, "_rows _cols"] | Bool[Tensor, "_rows _cols"]
"""The map of one image as a user gives it, of any number type."""

# In a view, a map has at least this many cells for each node, about which they are then averaged, ...
_PLACES = 4
# ... and at least this many along each side, for a network that sees it beside a low-resolution image.
_LEAST = 128


class MapSaliency(nn.Module):
    """Logits of a map that is given with each image, of any size.

    A map is (rows, cols) non-negative weights of any scale and number type, whose cells tile the upright source as pixels do: the 24 x 24
    attention of a vision transformer, a heat map of gaze, an uncertainty. It is averaged onto the nodes of ``map_size``.
    If a map has no weight at all, its image is not zoomed.

    Maps come with each batch: ``zoom(images, maps=[...])``. If there are views, each map is converted to its view; beyond
    the source its border is repeated.

    Args:
        maps_from: The field of a loader's samples with the maps, such as ``"attention.npy"``
            (:class:`foveal.pipeline.Saliency`). None if they are passed by hand.
        map_size: (rows, cols) of the map that draws the grid.
        floor: Share of the saliency that is spread evenly, in [0, 1).

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> zoom = SaliencySampler(224, saliency=MapSaliency())
        >>> zoom(torch.zeros(1, 3, 480, 640), maps=[torch.rand(24, 24)]).images.shape
        torch.Size([1, 3, 224, 224])
    """

    def __init__(
        self, maps_from: str | None = None, map_size: int | tuple[int, int] = (31, 31), *, floor: float = 0.0
    ) -> None:
        super().__init__()
        check_floor(floor)
        self.maps_from = maps_from
        self.map_size = rows_and_cols(map_size)
        self.floor = float(floor)

    def forward(
        self,
        small: Float[Tensor, "batch channel height width"],
        *,
        maps: Float[Tensor, "batch 1 _rows _cols"] | None = None,
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return log weights, one per node; the exponentials sum to one.

        Args:
            small: Only its batch size and device are used.
            maps: The result of :func:`maps_in_views`: cells that tile the image of ``small``.

        Raises:
            ValueError: There are no maps, or not as many as images.
        """
        with torch.autocast(small.device.type, enabled=False):
            return log_shares(
                to_lattice(one_for_each(small, maps).to(small.device), self.map_size), self.floor
            )


def one_for_each(
    small: Float[Tensor, "batch _channel _height _width"], maps: Float[Tensor, "_batch 1 rows cols"] | None
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return the maps if there is one for each image.

    Raises:
        ValueError: There are no maps, or not as many as images.
    """
    if maps is None or len(maps) != len(small):
        raise ValueError(
            f"maps must be a list of {len(small)} tensors, one for each image, got "
            f"{maps if maps is None else len(maps)!r} – call the sampler with maps=[...]."
        )
    return maps


def maps_in_views(
    maps: Sequence[GivenMap], views: Views | None, map_size: tuple[int, int]
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return maps of the sources converted to the views, all of one size: cells that tile the view.

    Each depends on its own map alone: the size is 128 x 128, or four cells for each node, whatever the sizes of the maps.
    Finer maps are averaged.

    Args:
        maps: (rows, cols) each, cells that tile the whole source, of any number type.
        views: (batch, 2, 3), from [-1, 1] of the view to [-1, 1] of the source; None for whole images.
        map_size: Rows and columns of what will be made of them.

    Raises:
        ValueError: There are not as many maps as views; or one is not (rows, cols), not finite, or negative somewhere.
    """
    if views is not None and len(maps) != len(views):
        raise ValueError(f"maps must be a list of {len(views)} tensors, one for each image, got {len(maps)}.")
    # Before they are checked: torch does not compare integers of uint16, uint32 and uint64.
    wide = [each.to(torch.promote_types(each.dtype, torch.float32)) for each in maps]
    for position, each in enumerate(wide):
        _check_map(each, position)
    size = max(_LEAST, _PLACES * map_size[0]), max(_LEAST, _PLACES * map_size[1])
    seen = [_in_view(each, None if views is None else views[k : k + 1], size) for k, each in enumerate(wide)]
    return torch.cat(seen) if seen else torch.empty(0, 1, *size)


def _in_view(
    weights: Float[Tensor, "_rows _cols"], view: Views | None, size: tuple[int, int]
) -> Float[Tensor, "1 1 rows cols"]:
    """Return one map in its view: read at least as finely as it is, and averaged to the size."""
    wide = weights[None, None]
    rows, cols = (-(-side // cells) for side, cells in zip(weights.shape, size, strict=True))
    at = even_grid(wide, (size[0] * rows, size[1] * cols), None if view is None else view.to(wide))
    # Scaled to a maximum of one, so that sums of huge values stay finite.
    scaled = wide / wide.amax().clamp(min=torch.finfo(wide.dtype).tiny)
    read = grid_sample(scaled, at, mode="bilinear", padding_mode="border", align_corners=False)
    averaged: Tensor = avg_pool2d(read, (rows, cols))
    return averaged


def _check_map(weights: Float[Tensor, "_rows _cols"], position: int) -> None:
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(f"maps[{position}] must be (rows, cols), got shape {tuple(weights.shape)!r}.")
    # An exported graph cannot depend on values.
    if not torch.compiler.is_compiling() and not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ValueError(
            f"maps[{position}] must be finite and non-negative, got values from {weights.min().item()!r} to "
            f"{weights.max().item()!r}: apply a ReLU or a softmax first."
        )
