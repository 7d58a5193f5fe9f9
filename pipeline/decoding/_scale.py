"""Chooses how a JPEG is decoded: no larger than the zoom can show, and no smoother.

libjpeg-turbo decodes at 1/2, 1/4 or 1/8 in a fraction of the time, because it leaves out high frequencies. If a zoom says
from which size on a source shows no more (``source_px``), it loses nothing with a copy of at least that size.

If chroma is subsampled along both axes (4:2:0), libjpeg-turbo scales its blocks by half as much, so a copy has a colour for
each pixel. It cannot do so along one axis alone: in a copy of a 4:2:2 JPEG two pixels of a row share a colour, as in the
original. No colour is lost if the colours alone suffice, so such a JPEG counts as half as wide. 4:4:0, its
counterpart along columns, is rare and decoded at full scale.

An image that is large enough for the zoom, but not twice as large, is decoded at full scale. There, too, each output pixel
is a mean over two pixels along each axis, or more. So it makes little difference whether chroma is interpolated between
its samples or each sample is repeated, which takes a twentieth less time; docs/loader.md has figures.
"""

from collections.abc import Callable
from dataclasses import replace

import simplejpeg
import torch
from torch import Tensor, nn

from foveal._choices import DecodeMode
from foveal.pipeline.decoding._encoded_image import EncodedImage, Scale
from foveal.pipeline.decoding.headers import (
    BASELINE,
    EXTENDED,
    JPEG,
    PROGRESSIVE,
    JpegFrame,
    orientation_of,
    read_jpeg_header,
)
from foveal.sampler import ZoomNeeds

Size = tuple[int, int]

_SCALES: tuple[Scale, ...] = (8, 4, 2)
_COLORSPACES = ("YCbCr", "RGB", "Gray")
_FRAMES = (BASELINE, EXTENDED, PROGRESSIVE)
# The sampling factors of each component: grey, 4:4:4, 4:2:0 and 4:2:2; and how many pixels of a copy share a colour
# (down, across), before orientation.
_SCALED = {
    ((1, 1),): (1, 1),
    ((1, 1), (1, 1), (1, 1)): (1, 1),
    ((2, 2), (1, 1), (1, 1)): (1, 1),
    ((2, 1), (1, 1), (1, 1)): (1, 2),
}
# 4:4:0, which is not scaled.
_WHOLE = (((1, 2), (1, 1), (1, 1)),)


def by_libjpeg(
    decode: DecodeMode,
    device: torch.device,
    zoom: nn.Module,
    view: Callable[[int, Size], Tensor] | None = None,
) -> "ByLibjpeg | None":
    """Return the object that chooses the images for libjpeg-turbo; None if DALI decodes all of them.

    Args:
        decode: The mode.
        device: The device for the pixels. On a GPU, DALI decodes everything.
        zoom: As for :class:`ByLibjpeg`.
        view: As for :class:`ByLibjpeg`.
    """
    return ByLibjpeg(zoom, view) if decode == "auto" and device.type == "cpu" else None


class ByLibjpeg:
    """Decides which images libjpeg-turbo decodes, and at which scale.

    Args:
        zoom: The zoom of the images. If it has no ``source_px``, they are decoded at full scale.
        view: Returns the view of a sample that the zoom will show, given its number and size; None for whole images.
    """

    def __init__(self, zoom: nn.Module, view: Callable[[int, Size], Tensor] | None = None) -> None:
        self._needed = _needed(zoom)
        self._view = view

    def __call__(self, image: EncodedImage, ordinal: int) -> EncodedImage:
        """Return the image with its decoder and scale; unchanged if libjpeg-turbo is not to decode it."""
        known = _known(image)
        if known is None:
            return image
        shared, orientation = known
        image = replace(image, by="libjpeg", orientation=orientation)
        if self._needed is None or shared is None:
            return image
        view = None if self._view is None else self._view(ordinal, image.upright_size)
        colours = replace(image, height=image.height // shared[0], width=image.width // shared[1])
        pixels = pixels_for_each(colours.upright_size, self._needed, view)
        scale = scale_for(pixels)
        return replace(image, scale=scale, smooth_colour=scale > 1 or pixels < 1)


def scale_for(pixels: float) -> Scale:
    """Return the largest divisor of both sides that leaves one pixel of so many for each needed pixel."""
    return next((scale for scale in _SCALES if scale <= pixels), 1)


def pixels_for_each(size: Size, needed: Size, view: Tensor | None = None) -> float:
    """Return how many pixels of an image, or of a view of it, there are for each needed pixel, along the axis that has fewer.

    Args:
        size: Height and width of the upright image, in pixels, or of its colours.
        needed: Height and width that suffice.
        view: (2, 3), from [-1, 1] of the view to [-1, 1] of the image; None for the whole.
    """
    height, width = size
    across, down = width / needed[1], height / needed[0]
    if view is None:
        return min(across, down)
    by_view = view[:, :2].double() * torch.tensor([[width], [height]])
    by_needed = by_view / torch.tensor([needed[1], needed[0]])
    return float(torch.linalg.svdvals(by_needed)[-1])  # the view may be rotated


def _needed(zoom: nn.Module) -> Size | None:
    """Height and width that suffice for the zoomed image and for the low-resolution copy."""
    needs = ZoomNeeds.of(zoom)
    source, looks = needs.source_px, needs.lowres_size
    if source is None or looks is None:
        return source
    return max(source[0], looks[0]), max(source[1], looks[1])


def _known(image: EncodedImage) -> tuple[tuple[int, int] | None, int] | None:
    """Return what `_SCALED` has of a JPEG, if it may be scaled, and its orientation, if libjpeg-turbo decodes it as DALI does, else None."""
    if image.by != "dali" or not image.whole or image.kind != JPEG:
        return None
    header = read_jpeg_header(image.file)
    if header is None or header.frame is None or not is_usual(header.frame):
        return None
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(image.file)
    except ValueError:
        return None
    if (height, width) != (image.height, image.width) or colorspace not in _COLORSPACES:
        return None
    orientation = orientation_of(header.exif[0]) if header.exif else 1
    return None if orientation is None else (_SCALED.get(header.frame.factors), orientation)


def is_usual(frame: JpegFrame) -> bool:
    """Return whether a JPEG is of a kind that is given to libjpeg-turbo: the kinds that the tests decode.

    Some rarer kinds (lossless, arithmetic, other depths, other sampling factors) end the process if they are scaled.
    """
    return frame.kind in _FRAMES and frame.bits == 8 and frame.factors in (*_SCALED, *_WHOLE)
