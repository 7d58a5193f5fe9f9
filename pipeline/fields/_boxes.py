"""Boxes as a field of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from foveal._choices import BoxFormat
from foveal.pipeline.fields._rows import check_rows, check_rows_source, read_rows, write_rows
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.flow import to_device
from foveal.sampler import ZoomNeeds, warp_boxes


class WarpedBoxes(NamedTuple):
    """The boxes of a batch in its zoomed images; unpacks as ``boxes, kept``."""

    boxes: list[Tensor]
    """For each image (k, 4) float32: (x0, y0, x1, y1) in pixels of the zoomed image, clipped to it, those left of which it shows something."""

    kept: list[Tensor]
    """For each image the (k,) int64 indices of these among the boxes of the original, to pick their other labels by."""


@dataclass(frozen=True, slots=True)
class Boxes(SpatialField):
    """Boxes that follow the zoom, given among the ``fields`` of a :class:`ZoomLoader`.

    In the shard: rows of four in pixels of the upright original (after EXIF orientation), all of which is
    (0, 0, width, height). None is an empty list.

    In the batch: :class:`WarpedBoxes`, the tightest boxes around what becomes of these (see
    :func:`foveal.sampler.warp_boxes`), always as (x0, y0, x1, y1).

    Attributes:
        source: Where they are: a member, and after a colon the dotted path into its JSON, such as ``"json:boxes"``; or an
            ``npy`` member of shape (n, 4).
        format: What a row is: ``"xyxy"`` (x0, y0, x1, y1), ``"xywh"`` (x0, y0, width, height) as in COCO, or
            ``"cxcywh"`` (x and y of the centre, width, height).

    Raises:
        ValueError: ``source`` or ``format`` is nothing of the kind.

    Example:
        >>> fields = ("image", "json", Boxes("json:boxes"))
        >>> for images, labels, (boxes, kept) in ZoomLoader("coins.tar", zoom, batch_size=4, fields=fields):
        ...     names = [[label["labels"][k] for k in each] for label, each in zip(labels, kept)]
    """

    source: str
    _: KW_ONLY
    format: BoxFormat = "xyxy"

    def __post_init__(self) -> None:
        check_rows_source(self.source)
        if self.format not in get_args(BoxFormat):
            raise ValueError(f"format must be one of {', '.join(get_args(BoxFormat))}, got {self.format!r}.")

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Tensor:
        """Return a sample's boxes as (x0, y0, x1, y1) in pixels of its original."""
        del max_pixels
        rows = read_rows(self.source, 4, members)
        with np.errstate(over="ignore", invalid="ignore"):
            corners = self._corners(rows).astype(np.float32)
        check_rows(self.source, "is not finite", rows, ~np.isfinite(corners).all(axis=1))
        fault = "has exchanged corners" if self.format == "xyxy" else "has a negative width or height"
        check_rows(self.source, fault, rows, (corners[:, :2] > corners[:, 2:]).any(axis=1))
        return torch.from_numpy(corners)

    def warp(
        self,
        labels: Sequence[Tensor],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> WarpedBoxes:
        """Return the boxes in pixels of the zoomed images."""
        return WarpedBoxes(
            *warp_boxes([to_device(label, grid.device) for label in labels], grid, sizes, views=views)
        )

    def join(self, parts: Sequence[WarpedBoxes]) -> WarpedBoxes:
        """Return one pair of lists for the batch."""
        return WarpedBoxes(
            [boxes for part in parts for boxes in part.boxes],
            [kept for part in parts for kept in part.kept],
        )

    def of_sample(self, value: WarpedBoxes, index: int) -> WarpedBoxes:
        """Return the boxes of one image, and which of the original's they are."""
        return WarpedBoxes([value.boxes[index].cpu()], [value.kept[index].cpu()])

    def write(self, members: Mapping[str, bytes], label: WarpedBoxes) -> dict[str, bytes]:
        """Return the member with these boxes; in JSON also a list ``<name>_kept``: which of the original's they are."""
        rows = self._rows(label.boxes[0].numpy())
        return write_rows(self.source, members, rows, kept=self.kept(label))

    def kept(self, label: WarpedBoxes) -> list[int]:
        """Return which of the original's boxes the zoomed image shows."""
        indices: list[int] = label.kept[0].tolist()
        return indices

    def _rows(self, corners: Any) -> Any:
        """The inverse of ``_corners``."""
        low, high = corners[:, :2], corners[:, 2:]
        match self.format:
            case "xyxy":
                return corners
            case "xywh":
                return np.concatenate([low, high - low], axis=1)
            case "cxcywh":
                return np.concatenate([(low + high) / 2, high - low], axis=1)

    def _corners(self, rows: Any) -> Any:
        first, second = rows[:, :2], rows[:, 2:]
        match self.format:
            case "xyxy":
                corners = first, second
            case "xywh":
                corners = first, first + second
            case "cxcywh":
                corners = first - second / 2, first + second / 2
        return np.concatenate(corners, axis=1)


def guide_of(needs: ZoomNeeds) -> Boxes | None:
    """Return the boxes that a zoom asks for with each sample, as one with ``BoxSaliency("json:boxes")`` does."""
    return None if needs.boxes_from is None else Boxes(needs.boxes_from)
