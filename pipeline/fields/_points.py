"""Points as a field of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foveal.pipeline.fields._rows import check_rows, check_rows_source, read_rows, write_rows
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.flow import to_device
from foveal.sampler import warp_points


@dataclass(frozen=True, slots=True)
class Points(SpatialField):
    """Points that follow the zoom, given among the ``fields`` of a :class:`ZoomLoader`.

    In the shard: rows (x, y) in pixels of the upright original (after EXIF orientation), whose upper left corner is
    (0, 0) and whose first pixel's centre is (0.5, 0.5). None is an empty list.

    In the batch: for each image a (n, 2) float32 tensor of (x, y) in pixels of the zoomed image, counted likewise, in the
    same order. A point that it does not show comes out beyond [0, width] x [0, height].

    Attributes:
        source: Where they are: a member, and after a colon the dotted path into its JSON, such as ``"json:points"`` or
            ``"json:face.landmarks"``; or an ``npy`` member of shape (n, 2).

    Raises:
        ValueError: ``source`` is nothing of the kind.

    Example:
        >>> loader = ZoomLoader("train.tar", zoom, batch_size=64, fields=("image", Points("json:points")))
        >>> images, points = next(iter(loader))  # (64, 3, 224, 224), and 64 tensors (n, 2)
    """

    source: str

    def __post_init__(self) -> None:
        check_rows_source(self.source)

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Tensor:
        """Return a sample's points in pixels of its original."""
        del max_pixels
        rows = read_rows(self.source, 2, members)
        with np.errstate(over="ignore"):
            points = rows.astype(np.float32)
        check_rows(self.source, "is not finite", rows, ~np.isfinite(points).all(axis=1))
        return torch.from_numpy(points)

    def warp(
        self,
        labels: Sequence[Tensor],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the points in pixels of the zoomed images."""
        return warp_points([to_device(label, grid.device) for label in labels], grid, sizes, views=views)

    def join(self, parts: Sequence[list[Tensor]]) -> list[Tensor]:
        """Return one list for the batch."""
        return [points for part in parts for points in part]

    def of_sample(self, value: list[Tensor], index: int) -> Tensor:
        """Return the points of one image."""
        return value[index].cpu()

    def write(self, members: Mapping[str, bytes], label: Tensor) -> dict[str, bytes]:
        """Return the member with these points."""
        return write_rows(self.source, members, label.numpy())
