"""Everything that the bytes of zoomed shards depend on, except the originals."""

import hashlib
import itertools
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any, cast

import PIL
from PIL import features
from torch import nn

from foveal import __version__
from foveal.pipeline import Boxes, InstanceMasks, Mask, Points
from foveal.pipeline.decoding import (
    MAX_PIXELS,
    PLAIN,
    Bits,
    DecodeMode,
    PixelRule,
    describe_decoder,
    describe_formats,
)
from foveal.pipeline.fields import (
    IMAGE,
    BoxFormat,
    Frame,
    LabelName,
    PointFormat,
    SpatialField,
    alternatives,
    called,
    kind_of,
    overlap,
)
from foveal.sampler import SaliencySampler
from foveal.sampler.zooms import unwrapped
from foveal.tools.console.choices import ImageFormat
from foveal.tools.console.sample_options import box_field
from foveal.tools.console.zoom_choice import ZoomChoice

WITH_QUALITY = ("jpg", "webp")
"""The formats whose files depend on the quality."""

_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(ZoomChoice):
    """The settings of ``foveal zoom``. Those of its zoom are attributes and keywords, too: see :class:`ZoomChoice`.

    Attributes:
        out_size: Height and width of the zoomed images, or of each patch, in pixels.
        patches: Number of patches to cut out of each image instead of zooming it; None for a zoom.
        format: The file format; ``npy`` is (height, width, 3), uint8, or float32 in [0, 1] for originals of more than 8
            bits. ``png16`` is a PNG of 16 bits.
        quality: The quality of ``jpg`` and ``webp``, 1 to 100; it counts for these alone.
        saliency: ``"spectral"``, ``"uniform"``, ``"boxes"``, ``"map"``, or a file of weights.
        saliency_member: The member of each sample that holds its saliency map, for ``"map"``.
        image: The member to zoom; alternatives are separated by ``;``.
        boxes: The boxes to warp, such as ``"json:boxes"``.
        box_format: The meaning of a box's four numbers, read and written; None for the usual one of the member.
        box_frame: The unit of these numbers, read and written; likewise.
        box_labels: Labels of the boxes, which are dropped with them; see :class:`foveal.pipeline.Boxes`.
        points: The points to warp.
        point_format: The meaning of a point's numbers, read and written; None to tell it by their count.
        point_frame: The unit of these numbers, read and written.
        masks: The masks to warp: ``png`` or ``npy`` members, whose colours stay unchanged, or COCO's masks of single
            objects, ``"json:annotations[].segmentation"``, which are written as run lengths.
        drop_labels: Whether labels that are not warped are left out.
        max_pixels: The largest number of pixels of an image.
        decode: As :class:`foveal.pipeline.ZoomLoader` takes it.
        rule: How samples become grey levels.

    Raises:
        ValueError: Settings that do not go together.
    """

    out_size: int = 224
    patches: int | None = None
    format: ImageFormat = "jpg"
    quality: int = _QUALITY
    saliency: str = "spectral"
    saliency_member: str | None = None
    image: str = IMAGE
    boxes: tuple[str, ...] = ()
    box_format: BoxFormat | None = None
    box_frame: Frame | None = None
    box_labels: tuple[LabelName, ...] = ()
    points: tuple[str, ...] = ()
    point_format: PointFormat | None = None
    point_frame: Frame = "pixel"
    masks: tuple[str, ...] = ()
    drop_labels: bool = False
    max_pixels: int = MAX_PIXELS
    decode: DecodeMode = "auto"
    rule: PixelRule = PLAIN

    def __post_init__(self) -> None:
        if self.saliency == "boxes" and not self.boxes:
            raise ValueError("boxes must be given with saliency='boxes', got none – add --boxes json:boxes.")
        if (self.saliency == "map") != (self.saliency_member is not None):
            raise ValueError(
                f"saliency_member must be given with saliency='map' and with no other, got {self.saliency_member!r} with "
                f"{self.saliency!r} – add --saliency-member attention.npy, or leave --saliency out."
            )
        for mask in self.masks:
            if ":" not in mask and not {kind_of(each) for each in alternatives(mask)} <= {"png", "npy"}:
                raise ValueError(
                    f"mask must be a png or npy member, which keeps class ids as they are, or a place in a json member, got {mask!r}."
                )
        if self.patches is not None:
            self._check_patches()
        if self.format not in WITH_QUALITY and self.quality != _QUALITY:
            raise ValueError(
                f"quality must be {_QUALITY} with format={self.format!r}, got {self.quality!r} – such files have no quality; leave one "
                "of the two out."
            )
        names = (*self.boxes, *self.points, *self.masks)
        if len(set(names)) < len(names):
            raise ValueError(f"boxes, points and masks must be named once each, got {names!r}.")
        for one, other in itertools.combinations(names, 2):
            if overlap(one, other):
                raise ValueError(
                    f"boxes, points and masks must be in places of their own, got {one!r} and {other!r} – name one of them."
                )

    def _check_patches(self) -> None:
        for name, value in (("boxes", self.boxes), ("points", self.points), ("masks", self.masks)):
            if value:
                raise ValueError(
                    f"{name} must be empty with patches, got {value!r} – labels are not warped into patches."
                )
        if self.saliency in ("uniform", "boxes", "map"):
            raise ValueError(
                f"saliency must be spectral or the weights of a ScoreNet with patches, got {self.saliency!r}."
            )
        self.refuse_given("patches", "patches are cut out, not zoomed")

    @property
    def extension(self) -> str:
        """The extension of zoomed images."""
        return "png" if self.format == "png16" else self.format

    @property
    def bits(self) -> Bits:
        """Bits of the levels at which deep originals are sampled."""
        return 16 if self.format in ("png16", "npy") else 8

    @property
    def box_fields(self) -> tuple[Boxes, ...]:
        """The boxes that follow the zoom, as fields of a loader."""
        return tuple(
            box_field(source, self.box_format, self.box_frame, self.box_labels) for source in self.boxes
        )

    @property
    def labels(self) -> tuple[SpatialField, ...]:
        """The labels that follow the zoom, as fields of a loader."""
        with called(source="points", format="point_format", frame="point_frame"):
            points = [
                Points(source, format=self.point_format, frame=self.point_frame) for source in self.points
            ]
        with called(source="mask"):
            masks = list(map(_mask_field, self.masks))
        return (*points, *masks, *self.box_fields)

    def _second_decoder(self) -> dict[str, str]:
        """The versions of the second decoder, if the image may have a format that DALI does not read, or reads wrong."""
        usual = set(alternatives(self.image)) <= set(alternatives(IMAGE))
        return {} if usual else {"formats": describe_formats()}

    def fingerprint(self, zoom: nn.Module, device_type: str) -> dict[str, Any]:
        """Return everything that decides how the shards come out, as plain JSON.

        A file of weights is identified by its content, not by its name.
        """
        zoom = unwrapped(zoom)
        given = {name: value for name, value in asdict(self).items() if name not in self.NOT_IN_RUNS}
        # In messages these come after the size.
        given |= {name: given.pop(name) for name in self.DEFAULTS if name in given}
        rule = given.pop("rule")
        given |= {name: rule[name] for name in ("window", "bands", "color") if rule[name] is not None}
        given["box_format"] = self.box_format or "xyxy"  # as runs recorded it when there was no other format
        for name in ("box_frame", "box_labels", "drop_labels", "saliency_member"):
            if not given[name]:
                del given[name]
        for name, usual in (("point_format", None), ("point_frame", "pixel")):
            if given[name] == usual:
                del given[name]
        settings = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        trained = self.saliency not in ("spectral", "uniform", "boxes", "map")
        return {
            "foveal": __version__,
            "decoder": describe_decoder(device_type, self.decode),
            **self._second_decoder(),
            "encoder": _encoder(self.format),
            "weights": _digest(zoom) if trained else None,
            **settings,
            **_resolved(zoom),
            "saliency": "weights" if trained else self.saliency,
        }


def _mask_field(source: str) -> SpatialField:
    """Return the field that warps a mask of any kind: with this palette, colours are read as ids, too."""
    return InstanceMasks(source) if ":" in source else Mask(source, palette="panoptic")


def _resolved(zoom: nn.Module) -> dict[str, Any]:
    """Return the zoom's settings, whether they come from the command line, the file of weights, or a default."""
    if not isinstance(zoom, SaliencySampler):
        return {}
    named = dict(zoom.settings)
    for name in ("out_size", "mean", "std", "dtype", "channels_last"):
        del named[name]  # the recipe has the size; and images are written without normalisation
    # Before there was a choice, all maps were in cells.
    if getattr(zoom.saliency, "frame", "cells") == "nodes":
        named["frame"] = "nodes"
    return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


def fingerprint_id(fingerprint: dict[str, Any]) -> str:
    """Return a short name for a fingerprint."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]


def _encoder(image_format: ImageFormat) -> str:
    if image_format == "npy":
        return "NumPy"
    if image_format == "png16":
        return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    codec = {"jpg": "libjpeg_turbo", "webp": "webp", "png": "zlib"}[image_format]
    return f"Pillow {PIL.__version__} with {codec} {features.version(codec)}"


def _digest(zoom: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(zoom.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)} ".encode())
        digest.update(cast("Any", array.numpy()).tobytes())
    return digest.hexdigest()
