"""Masks as a field of the loader."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, cast, get_args

import torch
from torch import Tensor

from foveal._choices import Frame
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.fields.formats import LabelName, LabelReader, is_source, member_path
from foveal.pipeline.fields.masks import (
    MaskSource,
    Palette,
    PixelMask,
    ReadMask,
    ShapeMask,
    Shapes,
    coding_of,
    other_aspect,
    pairs_of,
)
from foveal.pipeline.flow import to_device
from foveal.sampler import warp_masks
from foveal.shards.naming import JSON

Classes = Mapping[str | int, int] | Sequence[str]
"""The class ids of the labels beside shapes, as :class:`Mask` takes them."""


@dataclass(frozen=True, slots=True, repr=False)
class Mask(SpatialField):
    """A mask of class ids that is warped with the image: one of the ``fields`` of a :class:`ZoomLoader`.

    In the shard: a picture or an array that covers the upright original (after EXIF orientation; that of the mask is
    applied, too), at the same resolution or another one of the same aspect; or shapes, painted in their order, later ones
    over earlier ones.
    ``docs/labels.md`` has a table of label formats.

    In the batch: (batch, height, width) int64, the id of the mask's pixel in which each point of the grid lies; ids are
    never interpolated.

    Attributes:
        source: The mask. ``"mask.png"``: a picture, whose ids are the indices of a palette, else grey values as they are
            stored:
            0 and 1 of a 1-bit PNG, up to 65535 of a 16-bit one; of a TIFF or PGM the numbers in the file, also if 0 is
            white. ``"mask.npy"``: an array (height, width) of whole numbers.
            ``"json:annotations[].segmentation"``: polygons (which need pycocotools) or run lengths as COCO has them, LabelMe's
            shapes, one in each item of a list. ``"txt"``: YOLO's lines of polygons; a sample without this member has none. Or a
            function that returns an array, given the sample's members: a dict of bytes by extension.
        palette: The meaning of pixels: colours (red, green, blue), or grey values, in the order of their ids; or a
            mapping from
            them to ids. If the file's compression changes values, as in JPEG, each pixel counts as the nearest of them. Or
            ``"panoptic"``: red + 256 green + 65536 blue.
        labels: For shapes: the name of the entry beside each shape that is its class, or 0 for the first number of YOLO's
            lines. Without it, ids are the numbers of the shapes in the list, from 1.
        classes: For shapes: the id of each label, as a mapping, or as labels in the order of their ids. Without it,
            labels are ids.
        background: For shapes: the id of pixels without a shape.
        frame: For shapes: the unit of corners, ``"pixel"`` or ``"fraction"`` of the image, the default of ``"txt"``.

    Raises:
        ValueError: An argument is invalid.

    Example:
        >>> loader = ZoomLoader("roads.tar", zoom, batch_size=64, fields=("image", Mask("crack.png")))
        >>> images, cracks = next(iter(loader))  # (64, 3, 224, 224) and (64, 224, 224)
    """

    source: str | LabelReader
    _: KW_ONLY
    palette: Palette | None = None
    labels: LabelName | None = None
    classes: Classes | None = None
    background: int = 0
    frame: Frame | None = None

    def __post_init__(self) -> None:
        if not self._is_known:
            raise ValueError(
                "source must be a member such as 'mask.png' or 'mask.npy', a json member with a path to shapes, such as "
                f"'json:annotations[].segmentation', 'txt', or a function of the members, got {self.source!r}."
            )
        if self.palette is not None:
            object.__setattr__(self, "palette", pairs_of(self.palette))
        if self.classes is not None:
            object.__setattr__(self, "classes", _pairs(self.classes))
        self._check_shapes()

    def __repr__(self) -> str:
        """Return the expression that makes it, without defaults: quarantine files name fields by it."""
        given = [
            (each.name, getattr(self, each.name))
            for each in fields(self)
            if getattr(self, each.name) != each.default
        ]
        return f"Mask({', '.join(f'{name}={value!r}' for name, value in given)})"

    def _check_shapes(self) -> None:
        """Set the defaults for shapes, and raise for arguments of the other kind of mask."""
        if not self._has_shapes:
            given = (self.labels, self.classes, self.background or None, self.frame)
            for name, value in zip(("labels", "classes", "background", "frame"), given, strict=True):
                if value is not None:
                    raise ValueError(f"{name} must be left out for a mask of pixels, got {value!r}.")
            return
        if self.palette is not None:
            raise ValueError(f"palette must be left out for a mask of shapes, got {self.palette!r}.")
        in_text = member_path(cast("str", self.source)).is_yolo
        if self.labels is not None and (self.labels != 0 if in_text else not isinstance(self.labels, str)):
            raise ValueError(
                f"labels must be {'0, the first number of a line' if in_text else 'the name of an entry'}, got {self.labels!r}."
            )
        if self.classes is not None and self.labels is None:
            raise ValueError("labels must be given with classes, got None.")
        self._settle("frame", "fraction" if in_text else "pixel", get_args(Frame))

    @property
    def _is_known(self) -> bool:
        if not isinstance(self.source, str) or ":" in self.source:
            return is_source(self.source, ())
        location = member_path(self.source)
        return all(location.extensions) and (location.is_yolo or not location.kinds & {"txt", *JSON})

    @property
    def _has_shapes(self) -> bool:
        return isinstance(self.source, str) and (":" in self.source or member_path(self.source).is_yolo)

    @property
    def _source(self) -> MaskSource:
        if self._has_shapes:
            return ShapeMask(
                cast("str", self.source),
                cast("Frame", self.frame),
                self.labels,
                cast("Any", self.classes),
                self.background,
            )
        coding = coding_of(cast("Any", self.palette))
        if isinstance(self.source, str):
            return PixelMask(member_path(self.source), coding)
        return ReadMask(self.source, coding)

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Tensor | Shapes:
        """Return a sample's mask (height, width), uint8, int32 or int64, or the shapes to paint into one."""
        label = self._source.read(members, max_pixels)
        return label if isinstance(label, Shapes) else torch.from_numpy(label)

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for shapes. A missing picture is not counted here: it makes a bad sample."""
        return self._source.is_absent(members)

    def misfit(self, label: Tensor | Shapes, size: tuple[int, int]) -> str | None:
        """Return why the mask has another aspect than the image, or its shapes cannot belong to it; None if it fits."""
        if isinstance(label, Shapes):
            return label.misfit(self.name, size)
        rows, cols = label.shape
        return other_aspect(self.name, (rows, cols), size)

    def warp(
        self,
        labels: Sequence[Tensor | Shapes],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> Tensor:
        """Return the masks of the zoomed images."""
        del views  # the grid has them in it
        near = grid.cpu()  # rather than all of a mask's pixels to where the grid is
        masks = (_mask_of(label, size) for label, size in zip(labels, sizes, strict=True))  # one at a time
        seen = [warp_masks([mask], near[k : k + 1]).long() for k, mask in enumerate(masks)]
        return to_device(torch.cat([warp_masks([], near[:0]), *seen]), grid.device)

    def write(self, members: Mapping[str, bytes], label: Tensor, size: tuple[int, int]) -> dict[str, bytes]:
        """Return the member with these class ids: an array, or a PNG with the palette or the colours that it had."""
        del size
        return self._source.write(members, label.numpy())


def _mask_of(label: Tensor | Shapes, size: tuple[int, int]) -> Tensor:
    """Return a mask (height, width), at the resolution of the label if it has one, else of the image."""
    return torch.from_numpy(label.painted(size)) if isinstance(label, Shapes) else label


def _pairs(classes: Any) -> tuple[tuple[str | int, int], ...]:
    if isinstance(classes, Mapping):
        pairs = tuple(classes.items())
    else:
        named = not isinstance(classes, str) and all(isinstance(each, str) for each in classes)
        pairs = tuple((name, k) for k, name in enumerate(classes)) if named else tuple(classes)
    if not all(isinstance(each, tuple) and len(each) == 2 and type(each[1]) is int for each in pairs):
        raise ValueError(
            f"classes must be labels in the order of their class ids, or a mapping to them, got {classes!r}."
        )
    return pairs
