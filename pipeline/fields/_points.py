"""Points as a field of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from foveal._choices import Frame, PointFormat
from foveal.pipeline.fields._frame import in_fractions, in_pixels, settled, wrong_frame, wrong_size
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.fields.formats import (
    POINT_MEMBERS,
    LabelReader,
    PointSource,
    check_rows,
    is_source,
    point_source,
)
from foveal.pipeline.flow import to_device
from foveal.sampler import warp_points


class ImagePoints(NamedTuple):
    """The points of one image."""

    points: Tensor
    """(n, 2) float32, (x, y); NaN for one that is absent."""

    size: tuple[int, int] | None = None
    """The (height, width) that the label file says its image has, if it does."""


@dataclass(frozen=True, slots=True)
class Points(SpatialField):
    """Points that are warped with the image: one of the ``fields`` of a :class:`ZoomLoader`.

    In the shard: points (x, y) of the upright original (after EXIF orientation), in pixels, whose upper left corner is
    (0, 0) and whose first pixel's centre is (0.5, 0.5), or in fractions. A point is absent if it is null or NaN, or if a
    third number, its visibility in COCO, is 0. If there is nothing at the path, there are no points.
    ``docs/labels.md`` has a table of label formats.

    In the batch: for each image a (n, 2) float32 tensor of (x, y) in pixels of the zoomed image, counted likewise, in the
    same order: persons, shapes or rings of a polygon one after the other. A point that the zoomed image does not show
    lies outside of [0, width] x [0, height]; an absent one is NaN, so that all others keep their numbers.

    Attributes:
        source: The points. ``"json:points"`` or ``"json:face.landmarks"``: pairs, triples or flat lists of numbers in
            a JSON member, by a dotted path. ``"json:annotations[].keypoints"``: those of all items of a list. ``"npy"``: an
            array (n, 2) or (n, 3), or with more axes before. Or a function that returns such an array, given the
            sample's members: a dict of bytes by extension.
        format: The numbers of a point in JSON: ``"xy"``, or ``"xyv"`` with a visibility or score. By default it is told
            by their count; for a flat list of 6, 12, 18 ... numbers, which fits both, it must be given.
        frame: The unit of the numbers: ``"pixel"`` or ``"fraction"`` of the image.

    Raises:
        ValueError: An argument is invalid.

    Example:
        >>> loader = ZoomLoader("train.tar", zoom, batch_size=64, fields=("image", Points("json:points")))
        >>> images, points = next(iter(loader))  # (64, 3, 224, 224), and 64 tensors (n, 2)
    """

    source: str | LabelReader
    _: KW_ONLY
    format: PointFormat | None = None
    frame: Frame = "pixel"

    def __post_init__(self) -> None:
        if not is_source(self.source, POINT_MEMBERS):
            raise ValueError(
                "source must be a json member with a path to the points in it, such as 'json:points' or "
                "'json:annotations[].keypoints', an npy member, or a function of the members, "
                f"got {self.source!r}."
            )
        self._settle("format", None, get_args(PointFormat))  # if left out, it is told by the numbers
        if self.frame not in get_args(Frame):
            raise ValueError(f"frame must be one of {', '.join(get_args(Frame))}, got {self.frame!r}.")

    @property
    def _source(self) -> PointSource:
        return point_source(self.source, self.format, self.frame)

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> ImagePoints:
        """Return a sample's points in the frame of their file."""
        del max_pixels
        rows, size = self._source.read(members)
        with np.errstate(over="ignore"):
            points = rows.astype(np.float32)
        check_rows(self.name, "is not finite", rows, np.isinf(points).any(axis=1))
        points[np.isnan(points).any(axis=1)] = np.nan
        return ImagePoints(torch.from_numpy(points), size)

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for points, not even an empty list."""
        return self._source.is_absent(members)

    def misfit(self, label: ImagePoints, size: tuple[int, int]) -> str | None:
        """Return why these points must be in another frame or of another image; None if they fit."""
        return wrong_frame(self.name, label.points, self.frame, size) or wrong_size(
            self.name, label.size, self.frame, size
        )

    def warp(
        self,
        labels: Sequence[ImagePoints],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the points in pixels of the zoomed images."""
        pixels = [
            in_pixels(label.points, self.frame, size) for label, size in zip(labels, sizes, strict=True)
        ]
        points = [to_device(each, grid.device) for each in pixels]
        warped = warp_points([each.nan_to_num() for each in points], grid, sizes, views=views)
        return [torch.where(old.isnan(), old, settled(new)) for old, new in zip(points, warped, strict=True)]

    def join(self, parts: Sequence[list[Tensor]]) -> list[Tensor]:
        """Return one list for the batch."""
        return [points for part in parts for points in part]

    def of_sample(self, value: list[Tensor], index: int) -> ImagePoints:
        """Return the points of one image."""
        return ImagePoints(value[index].cpu())

    def write(
        self, members: Mapping[str, bytes], label: ImagePoints, size: tuple[int, int]
    ) -> dict[str, bytes]:
        """Return the member with these points."""
        points = label.points if self.frame == "pixel" else in_fractions(label.points, "pixel", size)
        return self._source.write(members, points.numpy(), size)
