"""Boxes as a field of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self, cast, get_args

import numpy as np
import torch
from torch import Tensor

from foveal._choices import BoxFormat, Frame
from foveal.pipeline.fields._called import called
from foveal.pipeline.fields._frame import (
    have_extent,
    in_fractions,
    in_pixels,
    settled,
    wrong_frame,
    wrong_size,
)
from foveal.pipeline.fields._members import MemberError
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.fields._warped_boxes import ImageBoxes, LabelledBoxes, WarpedBoxes, labels_as_tensors
from foveal.pipeline.fields.formats import (
    BOX_MEMBERS,
    BoxSource,
    LabelName,
    LabelReader,
    NewBoxes,
    box_source,
    check_rows,
    corners_of,
    is_source,
    rows_of,
    usual_form,
    write_boxes,
)
from foveal.pipeline.flow import to_device
from foveal.sampler import ZoomNeeds, warp_boxes


@dataclass(frozen=True, slots=True)
class Boxes(SpatialField):
    """Boxes that are warped with the image: one of the ``fields`` of a :class:`ZoomLoader`.

    In the shard: boxes of the upright original (after EXIF orientation), in pixels (the whole image is (0, 0, width,
    height)) or in fractions. A box that is null or NaN is absent; if there is nothing at the path, there are no boxes.
    ``docs/labels.md`` has a table of label formats.

    In the batch: :class:`WarpedBoxes`, the tightest boxes around the warped boxes (see
    :func:`foveal.sampler.warp_boxes`), always as (x0, y0, x1, y1) in pixels; with ``labels`` :class:`LabelledBoxes`.

    Attributes:
        source: The boxes. ``"json:boxes"``: a list of rows in a JSON member, by a dotted path.
            ``"json:annotations[].bbox"``: one box in each item of a list. ``"npy"``: an array (n, 4). ``"txt"``: YOLO's
            lines; a sample without this member has no boxes. ``"xml"``: Pascal VOC. Or a function that returns an array
            (n, 4), given the sample's members: a dict of bytes by extension.
        format: The meaning of a row: ``"xyxy"`` (x0, y0, x1, y1), the default; ``"xywh"`` (x0, y0, width, height), as in
            COCO;
            ``"cxcywh"`` (x and y of the centre, width, height), as in YOLO, the default of ``"txt"``. For ``"xyxy"`` a box
            in JSON may also be points around which it lies: two corners, or a polygon.
        frame: The unit of the numbers: ``"pixel"``, the default, or ``"fraction"`` of the image, the default of ``"txt"``.
        labels: Labels of the boxes, which are kept or dropped with them: the name of an entry beside each box (in its
            item of the list, or in VOC's ``object``; for a list of rows, another list of the same length), or the number
            of a column, from 0 (in YOLO's lines 0 is the class; in rows of more than four numbers 4 is the first after
            the box). Or several of these.

    Raises:
        ValueError: An argument is invalid.

    Example:
        >>> boxes = Boxes("json:annotations[].bbox", format="xywh", labels="category_id")
        >>> for images, (boxes, kept, labels) in ZoomLoader("coco.tar", zoom, batch_size=4, fields=("image", boxes)):
        ...     targets = [{"boxes": b, "labels": ids} for b, ids in zip(boxes, labels["category_id"])]
    """

    source: str | LabelReader
    _: KW_ONLY
    format: BoxFormat | None = None
    frame: Frame | None = None
    labels: LabelName | tuple[LabelName, ...] = ()

    def __post_init__(self) -> None:
        if not is_source(self.source, BOX_MEMBERS):
            raise ValueError(
                "source must be a json member with a path to the boxes in it, such as 'json:boxes' or "
                "'json:annotations[].bbox', an npy, txt or xml member, or a function of the members, "
                f"got {self.source!r}."
            )
        box_format, frame = usual_form(self.source)
        self._settle("format", box_format, get_args(BoxFormat))
        self._settle("frame", frame, get_args(Frame))
        labels = (self.labels,) if isinstance(self.labels, str | int) else tuple(self.labels)
        if not all(isinstance(name, str) or name >= 0 for name in labels) or len(set(labels)) < len(labels):
            raise ValueError(f"labels must be names or numbers of columns, each once, got {self.labels!r}.")
        object.__setattr__(self, "labels", labels)

    @property
    def _form(self) -> tuple[BoxFormat, Frame]:
        return cast("BoxFormat", self.format), cast("Frame", self.frame)

    @property
    def _names(self) -> tuple[LabelName, ...]:
        return cast("tuple[LabelName, ...]", self.labels)

    @property
    def _source(self) -> BoxSource:
        return box_source(self.source, *self._form)

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> ImageBoxes:
        """Return a sample's boxes in the frame of their file."""
        del max_pixels
        table = self._source.read(members, self._names)
        unknown = [name for name in self._names if name not in table.labels]
        if unknown:
            raise MemberError(f"{self.name} has columns by numbers only, and labels name: {unknown[0]!r}")
        corners = self._corners(table.rows)
        places = np.flatnonzero(~np.isnan(table.rows).all(axis=1))
        labels = {name: [values[k] for k in places] for name, values in table.labels.items()}
        return ImageBoxes(torch.from_numpy(corners[places]), torch.from_numpy(places), labels, table.size)

    def _corners(self, rows: Any) -> Any:
        box_format, _ = self._form
        with np.errstate(over="ignore", invalid="ignore"):
            corners = corners_of(rows, box_format).astype(np.float32)
        absent = np.isnan(rows).all(axis=1)
        check_rows(self.name, "is not finite", rows, ~np.isfinite(corners).all(axis=1) & ~absent)
        fault = (
            "has exchanged corners, and may need format='xywh'"
            if box_format == "xyxy"
            else "has a negative width or height"
        )
        check_rows(self.name, fault, rows, (corners[:, :2] > corners[:, 2:]).any(axis=1))
        return corners

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for boxes, not even an empty list."""
        return self._source.is_absent(members)

    def misfit(self, label: ImageBoxes, size: tuple[int, int]) -> str | None:
        """Return why these boxes must be in another frame or of another image; None if they fit."""
        return wrong_frame(self.name, label.corners, self._form[1], size) or wrong_size(
            self.name, label.size, self._form[1], size
        )

    def in_pixels(self, label: ImageBoxes, size: tuple[int, int]) -> Tensor:
        """Return boxes (k, 4), (x0, y0, x1, y1), in pixels of an upright original of this (height, width)."""
        return in_pixels(label.corners, self._form[1], size)

    def in_fractions(self, label: ImageBoxes, size: tuple[int, int]) -> Tensor:
        """Return boxes (k, 4), (x0, y0, x1, y1), as fractions of an upright original of this (height, width)."""
        return in_fractions(label.corners, self._form[1], size)

    def warp(
        self,
        labels: Sequence[ImageBoxes],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> WarpedBoxes | LabelledBoxes:
        """Return the boxes in pixels of the zoomed images."""
        corners = [self.in_pixels(*pair) for pair in zip(labels, sizes, strict=True)]
        boxes, kept = warp_boxes([to_device(each, grid.device) for each in corners], grid, sizes, views=views)
        boxes = [settled(each) for each in boxes]
        wide = [have_extent(each, (grid.shape[1], grid.shape[2])) for each in boxes]
        boxes, kept = ([each[w] for each, w in zip(all_, wide, strict=True)] for all_ in (boxes, kept))
        left = [indices.tolist() for indices in kept] if self._names else []
        places = [to_device(each.places, k.device)[k] for each, k in zip(labels, kept, strict=True)]
        if not self._names:
            return WarpedBoxes(boxes, places)
        beside = {
            name: [
                [each.labels[name][k] for k in indices] for each, indices in zip(labels, left, strict=True)
            ]
            for name in self._names
        }
        return LabelledBoxes(boxes, places, beside)

    def join(self, parts: Sequence[WarpedBoxes | LabelledBoxes]) -> WarpedBoxes | LabelledBoxes:
        """Return one pair of lists for the batch, and labels as tensors if they are numbers."""
        boxes = [each for part in parts for each in part.boxes]
        kept = [each for part in parts for each in part.kept]
        if not self._names:
            return WarpedBoxes(boxes, kept)
        labelled = cast("Sequence[LabelledBoxes]", parts)
        values = {name: [each for part in labelled for each in part.labels[name]] for name in self._names}
        return LabelledBoxes(
            boxes, kept, {name: labels_as_tensors(each, boxes) for name, each in values.items()}
        )

    def of_sample(self, value: WarpedBoxes | LabelledBoxes, index: int) -> ImageBoxes:
        """Return the boxes of one image, and their numbers among the original's boxes."""
        return ImageBoxes(value.boxes[index].cpu(), value.kept[index].cpu(), {})

    def write(
        self, members: Mapping[str, bytes], label: ImageBoxes, size: tuple[int, int]
    ) -> dict[str, bytes]:
        """Return the member with these boxes."""
        return self.write_all(members, {self: label}, size)

    @classmethod
    def write_all(
        cls, members: Mapping[str, bytes], labels: Mapping[Self, ImageBoxes], size: tuple[int, int]
    ) -> dict[str, bytes]:
        """Return the members with the boxes of several fields: an item that has boxes of several goes when none of them is left."""
        return write_boxes(members, [field._to_write(label, size) for field, label in labels.items()])  # noqa: SLF001 - of this class

    def _to_write(self, label: ImageBoxes, size: tuple[int, int]) -> tuple[BoxSource, NewBoxes]:
        box_format, frame = self._form
        corners = label.corners if frame == "pixel" else in_fractions(label.corners, "pixel", size)
        rows = rows_of(corners.numpy(), box_format)
        return self._source, NewBoxes(rows, label.places.tolist(), self._names, size)

    def kept(self, label: ImageBoxes) -> list[int]:
        """Return the numbers of the original's boxes that the zoomed image shows."""
        places: list[int] = label.places.tolist()
        return places


def guide_of(needs: ZoomNeeds) -> Boxes | None:
    """Return the field of the boxes that a zoom needs with each sample, such as one with ``BoxSaliency("json:boxes")``."""
    with called(source="boxes_from"):
        return None if needs.boxes_from is None else Boxes(needs.boxes_from)
