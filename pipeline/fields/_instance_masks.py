"""Masks of single objects as a field of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, cast, get_args

import torch
from torch import Tensor

from foveal._choices import Frame
from foveal.pipeline.fields._members import find_member
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.fields.formats import SHAPE, JsonDocument, Slot, is_source, member_path
from foveal.pipeline.fields.masks import ShapeMask, Shapes, run_lengths
from foveal.pipeline.flow import to_device
from foveal.sampler import warp_masks

# COCO's entry for the number of pixels of a mask.
_AREA = "area"


@dataclass(frozen=True, slots=True)
class InstanceMasks(SpatialField):
    """A mask for each object, warped with the image: one of the ``fields`` of a :class:`ZoomLoader`.

    In the shard: polygons (which need pycocotools) or run lengths as COCO and SA-1B have them, LabelMe's shapes, YOLO's polygons.
    Objects may overlap. :class:`Mask` paints the same shapes into one mask of class ids.

    In the batch: for each image a (n, height, width) bool tensor, one mask for each item of the list, in its order:
    ``masks[kept]`` belong to the boxes that :class:`Boxes` keeps. A mask that is absent, or that the zoomed image does
    not show, is empty.

    Attributes:
        source: The shapes: ``"json:annotations[].segmentation"``, a JSON member with a path to one shape in each item of
            a list;
            or ``"txt"``, YOLO's lines of polygons.
        frame: The unit of corners: ``"pixel"``, or ``"fraction"`` of the image, the default of ``"txt"``.

    Raises:
        ValueError: An argument is invalid.

    Example:
        >>> boxes = Boxes("json:annotations[].bbox", format="xywh", labels="category_id")
        >>> masks = InstanceMasks("json:annotations[].segmentation")
        >>> for images, (boxes, kept, labels), masks in ZoomLoader(url, zoom, batch_size=4, fields=("image", boxes, masks)):
        ...     targets = [{"boxes": b, "masks": m[k]} for b, k, m in zip(boxes, kept, masks)]
    """

    source: str
    _: KW_ONLY
    frame: Frame | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not is_source(self.source, ("txt",)):
            raise ValueError(
                "source must be a json member with a path to shapes, such as 'json:annotations[].segmentation', or 'txt', "
                f"got {self.source!r}."
            )
        self._settle("frame", "fraction" if member_path(self.source).is_yolo else "pixel", get_args(Frame))

    @property
    def _source(self) -> ShapeMask:
        return ShapeMask(self.source, cast("Frame", self.frame), label=None, classes=None, background=0)

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Shapes:
        """Return a sample's shapes."""
        return self._source.read(members, max_pixels)

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for shapes, not even an empty list."""
        return self._source.is_absent(members)

    def misfit(self, label: Shapes, size: tuple[int, int]) -> str | None:
        """Return why the shapes cannot belong to this image; None if they can."""
        return label.misfit(self.name, size)

    def warp(
        self,
        labels: Sequence[Shapes],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the masks of the zoomed images."""
        del views  # the grid has them in it
        near = grid.cpu()
        return [
            to_device(_warped(label, near[k : k + 1], size), grid.device)
            for k, (label, size) in enumerate(zip(labels, sizes, strict=True))
        ]

    def join(self, parts: Sequence[list[Tensor]]) -> list[Tensor]:
        """Return one list for the batch."""
        return [masks for part in parts for masks in part]

    def of_sample(self, value: list[Tensor], index: int) -> Tensor:
        """Return the masks of one image."""
        return value[index].cpu()

    def write(self, members: Mapping[str, bytes], label: Tensor, size: tuple[int, int]) -> dict[str, bytes]:
        """Return the JSON member with these masks as run lengths, compressed as in COCO.

        An ``area`` beside one is its number of pixels; that of an item without a mask, which would be of the original, is left out.
        """
        location = member_path(self.source)
        member = find_member(location.extensions, members)
        if not location.path:
            raise ValueError(f"source must be a json member to be written back to, got {self.source!r}.")
        document = JsonDocument(member, members[member])
        for slot, mask in zip(document.slots(location.path), label, strict=True):
            if slot.beside(SHAPE) is not None:
                raise ValueError(
                    f"source must be of COCO's kind to be written back to, got {self.source!r} – warp it as Points."
                )
            if slot.value:
                document.put(slot, run_lengths(mask.numpy()))
            _restate_area(slot, int(mask.sum()) if slot.value else None)
        document.restate_size(size, location.path)
        return {member: document.encode()}


def _restate_area(slot: Slot, pixels: int | None) -> None:
    if isinstance(slot.beside(_AREA), int | float):
        if pixels is None:
            del slot.holder[_AREA]
        else:
            slot.holder[_AREA] = pixels


def _warped(shapes: Shapes, grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (n, height, width) bool, painting one object at a time."""
    masks: list[Any] = [
        warp_masks([torch.from_numpy(shapes.only(number).painted(size))], grid).bool()
        for number in range(1, shapes.objects + 1)
    ]
    return torch.cat([torch.empty(0, *grid.shape[1:3], dtype=torch.bool), *masks])
