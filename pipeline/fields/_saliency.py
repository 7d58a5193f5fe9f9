"""Saliency maps as a field of the loader: an input of the zoom with each sample, or a label that is warped with the image."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal._choices import Frame
from foveal.pipeline.fields._called import called
from foveal.pipeline.fields._frame import in_fractions, wrong_frame
from foveal.pipeline.fields._members import MemberError, encode_array, find_member, kind_of, parse_content
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.fields.formats import JsonDocument, LabelReader, member_path, read_with, steps_of
from foveal.pipeline.fields.masks import image_of
from foveal.pipeline.flow import to_device
from foveal.sampler import ZoomNeeds
from foveal.shards.naming import JSON

SaliencyKind = Literal["map", "points"]
"""The kind of content of a saliency member, as :class:`Saliency` takes it."""

_IMAGES = frozenset(("bmp", "jpeg", "jpg", "pgm", "png", "tif", "tiff", "webp"))
# Points become a map of this many cells, with Gaussians of this standard deviation, as a share of the image's sides.
_CELLS = 64
_SPREAD = 0.04


@dataclass(frozen=True, slots=True)
class Saliency(SpatialField):
    """A saliency map of each sample: attention of another model, gaze, depth, uncertainty.

    A zoom with ``MapSaliency("attention.npy")`` gets its map without any field. Among the ``fields`` of a
    :class:`ZoomLoader`, this class says how the member is to be read, if the default is wrong, and puts the map into the
    batch.

    In the shard: (rows, cols) non-negative weights of any size and scale, whose cells tile the upright original, a 24 x 24
    attention map as well as a heat map of the image's size. Or points to look at.

    In the batch: (batch, height, width) float32, the map as the zoomed images show it, interpolated linearly.

    Attributes:
        source: The map. ``"attention.npy"``: an array (rows, cols), or with further axes of length one. ``"gaze.json"``, or
            a dotted path in it such as ``"json:gaze.map"``: a list of rows. ``"depth.png"``: grey values as they are stored.
            Or a function that returns an array, given the sample's members: a dict of bytes by extension.
        kind: ``"map"``; or ``"points"``: rows (x, y) or (x, y, weight), each of which becomes a Gaussian with a standard
            deviation of 4 % of the image's sides. An image without points is not zoomed.
        frame: The unit of the points' coordinates: ``"pixel"`` of the upright original, or ``"fraction"`` of it.

    Raises:
        ValueError: An argument is invalid.

    Example:
        >>> zoom = SaliencySampler(224, saliency=MapSaliency("json:fixations"))
        >>> gaze = Saliency("json:fixations", kind="points", frame="fraction")
        >>> loader = ZoomLoader("views.tar", zoom, batch_size=64, fields=("image", "cls", gaze))
    """

    source: str | LabelReader
    _: KW_ONLY
    kind: SaliencyKind = "map"
    frame: Frame = "pixel"

    def __post_init__(self) -> None:
        if not _is_source(self.source):
            raise ValueError(
                "source must be an npy, json or image member, such as 'attention.npy', or a path in a json member, such as "
                f"'json:gaze.map', or a function of the members, got {self.source!r}."
            )
        for name, choices in (("kind", get_args(SaliencyKind)), ("frame", get_args(Frame))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}.")

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Tensor:
        """Return a sample's map (rows, cols), or its points (n, 2 or 3), as float32."""
        values = self._values(members, max_pixels)
        if values.dtype.kind not in "biuf":
            raise MemberError(f"{self.name} is no array of real numbers")
        if self.kind == "points":
            return self._points(values)
        while values.ndim > 2 and 1 in values.shape:
            values = values.squeeze(values.shape.index(1))
        if values.ndim != 2 or 0 in values.shape:
            raise MemberError(f"{self.name} is no map of rows and columns: its shape is {values.shape}")
        if max_pixels is not None and values.size > max_pixels:
            raise MemberError(f"{self.name} has more cells than max_pixels: {values.shape}", "too_large")
        return self._weights(values)

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return False: a missing map makes a bad sample."""
        del members
        return False

    def misfit(self, label: Tensor, size: tuple[int, int]) -> str | None:
        """Return why points must be in another frame; None if they fit. A map may have any aspect."""
        return wrong_frame(self.name, label[:, :2], self.frame, size) if self.kind == "points" else None

    def as_map(self, label: Tensor, size: tuple[int, int]) -> Float[Tensor, "_rows _cols"]:
        """Return a sample's map, given the (height, width) of its upright original in pixels."""
        if self.kind == "map":
            return label
        places, weights = in_fractions(label[:, :2], self.frame, size), label[:, 2:].sum(dim=1)
        if label.shape[1] == 2:
            weights = torch.ones(len(label))
        cells = (torch.arange(_CELLS) + 0.5) / _CELLS
        across, down = (torch.exp(-0.5 * ((cells - places[:, k, None]) / _SPREAD).square()) for k in (0, 1))
        return (down * weights[:, None]).T @ across

    def warp(
        self,
        labels: Sequence[Tensor],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> Tensor:
        """Return the maps of the zoomed images."""
        del views  # the grid has them in it
        seen = [
            grid_sample(
                to_device(self.as_map(label, size), grid.device)[None, None],
                grid[k : k + 1].float(),
                mode="bilinear",
                padding_mode="border",
                align_corners=False,
            )[0]
            for k, (label, size) in enumerate(zip(labels, sizes, strict=True))
        ]
        return torch.cat([grid.new_empty(0, *grid.shape[1:3], dtype=torch.float32), *seen])

    def write(self, members: Mapping[str, bytes], label: Tensor, size: tuple[int, int]) -> dict[str, bytes]:
        """Return the member with this map. Only arrays and lists of rows can hold it."""
        del size
        if isinstance(self.source, str) and self.kind == "map":
            location = member_path(self.source)
            member = find_member(location.extensions, members)
            if kind_of(member) == "npy":
                return {member: encode_array(label.numpy())}
            if kind_of(member) in JSON:
                if not location.path:
                    return {member: json.dumps(label.tolist()).encode()}
                document = JsonDocument(member, members[member])
                [slot] = document.slots(location.path)
                document.put(slot, label.tolist())
                return {member: document.encode()}
        raise ValueError(f"source must be an npy or json member with a map to write one, got {self!r}.")

    def _values(self, members: Mapping[str, bytes], max_pixels: int | None) -> np.ndarray[Any, Any]:
        if not isinstance(self.source, str):
            return _as_array(self.name, read_with(self.source, members))
        location = member_path(self.source)
        member = find_member(location.extensions, members)
        if kind_of(member) in _IMAGES:
            image = image_of(member, members[member], max_pixels)
            if not image.is_grey:
                raise MemberError(f"{member} is no map of one channel: it has colours")
            return cast("np.ndarray[Any, Any]", image.grey)
        if kind_of(member) in JSON:
            slots = JsonDocument(member, members[member]).slots(location.path)
            if not slots or slots[0].value is None:
                raise MemberError(f"{self.name} is missing: there is nothing there")
            return _as_array(self.name, slots[0].value)
        return _as_array(self.name, parse_content(member, members[member]))

    def _points(self, values: np.ndarray[Any, Any]) -> Tensor:
        if values.size == 0:
            return torch.empty(0, 2)
        if values.ndim != 2 or values.shape[1] not in (2, 3):
            raise MemberError(
                f"{self.name} has no rows of (x, y) or (x, y, weight): its shape is {values.shape}"
            )
        points = torch.from_numpy(values.astype(np.float32))
        if not bool(points.isfinite().all() and (points[:, 2:] >= 0).all()):
            raise MemberError(f"{self.name} is not finite, or has a negative weight")
        return points

    def _weights(self, values: np.ndarray[Any, Any]) -> Tensor:
        with np.errstate(over="ignore"):
            weights = values.astype(np.float32)
        if not np.isfinite(weights).all():
            raise MemberError(f"{self.name} is not finite")
        if weights.min() < 0:
            raise MemberError(f"{self.name} is negative somewhere: {float(weights.min())!r}")
        return torch.from_numpy(weights)


def map_guide_of(needs: ZoomNeeds) -> Saliency | None:
    """Return the field of the map that a zoom needs with each sample, such as one with ``MapSaliency("attention.npy")``."""
    with called(source="maps_from"):
        return None if needs.maps_from is None else Saliency(needs.maps_from)


def _is_source(source: Any) -> bool:
    if not isinstance(source, str):
        return callable(source)
    location = member_path(source)
    if ":" in source:
        return location.kinds <= JSON and bool(location.path) and steps_of(location.path) is not None
    return all(location.extensions) and location.kinds <= _IMAGES | JSON | {"npy"}


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise MemberError(f"{name} is no array of numbers: {str(error).splitlines()[0]}") from error
