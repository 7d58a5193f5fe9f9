"""Labels of a batch of images of different sizes: lists with one entry for each image."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Integer, Real
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foveal.sampler.frames._images import check_tensor

SourceSize = tuple[int, int] | Sequence[tuple[int, int]] | Integer[Tensor, "_batch 2"]
"""(height, width) in pixels: one for all images, or one for each, such as a loader's ``__size__``."""


def each_size(source_size: SourceSize, batch: int) -> list[tuple[int, int]]:
    """One (height, width) for each image.

    Raises:
        ValueError: There are not as many sizes as images, or one of them is below a pixel.
    """
    given = source_size.tolist() if isinstance(source_size, Tensor) else source_size
    one = len(given) == 2 and not hasattr(given[0], "__len__")
    pairs = cast("list[Sequence[int]]", [given] * batch if one else given)
    sizes = [(int(height), int(width)) for height, width in pairs]
    if len(sizes) != batch:
        raise ValueError(f"source_size must be one (height, width) or {batch} of them, got {len(sizes)}.")
    for height, width in sizes:
        if min(height, width) < 1:
            raise ValueError(f"source_size must be at least (1, 1), got {(height, width)!r}.")
    return sizes


def padded(
    labels: Sequence[Real[Tensor, "_count _columns"]],
    grid: Float[Tensor, "batch height width 2"],
    *,
    columns: int,
    name: str,
) -> Float[Tensor, "batch most columns"]:
    """The labels of all images in one float64 tensor on the grid's device, padded with zeros.

    Raises:
        TypeError: One is no tensor.
        ValueError: The number of lists is not that of grids, or one does not have this many columns.
    """
    if len(labels) != len(grid):
        raise ValueError(
            f"{name} must be a list of {len(grid)} tensors, one for each grid, got {len(labels)}."
        )
    for position, each in enumerate(labels):
        check_tensor(each, f"{name}[{position}]")
        if each.ndim != 2 or each.shape[1] != columns:
            raise ValueError(f"{name}[{position}] must be (n, {columns}), got shape {tuple(each.shape)!r}.")
    if not len(labels):
        return grid.new_zeros(0, 0, columns, dtype=torch.float64)
    return pad_sequence([each.to(grid.device, torch.float64) for each in labels], batch_first=True)


def check_corners(boxes: Real[Tensor, "_count 4"], position: int) -> None:
    """Raise if a box has its corners exchanged.

    Raises:
        ValueError: A box has them exchanged.
    """
    corners = boxes.double()  # torch compares no integers of uint16, uint32 and uint64
    wrong = ~(corners[:, :2] <= corners[:, 2:]).all(dim=1)
    if bool(wrong.any()):
        raise ValueError(
            f"boxes[{position}] must be (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, got "
            f"{boxes[wrong][0].tolist()!r}: convert from (x, y, width, height) first."
        )


def as_given(
    values: Float[Tensor, "batch most columns"], labels: Sequence[Real[Tensor, "_count _columns"]]
) -> list[Float[Tensor, "_count columns"]]:
    """Undo :func:`padded`: return each image's own rows, on the device of its labels; float64 if they were, else float32."""
    return [
        each[: len(label)].to(label.device, torch.promote_types(label.dtype, torch.float32))
        for each, label in zip(values, labels, strict=True)
    ]


def widths_and_heights(
    source_size: SourceSize, grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch 1 2"]:
    """(width, height) of each source, in the axis order of points (x, y)."""
    sizes = [(width, height) for height, width in each_size(source_size, len(grid))]
    return torch.tensor(sizes, dtype=torch.float64, device=grid.device).view(-1, 1, 2)
