"""Chooses the scale at which a JPEG is decoded: no larger than the zoom can show.

libjpeg-turbo decodes at 1/2, 1/4 or 1/8 in a fraction of the time, because it leaves out high frequencies. If a zoom says
from which size on a source shows no more (``source_px``), it loses nothing with a copy of at least that size.

If chroma is subsampled along one axis only (4:2:2 and similar), that of a scaled copy is coarser along the other axis,
too. This would lose colour, so such JPEGs are decoded at full scale.
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
# The sampling factors of each component: grey, 4:4:4 and 4:2:0; then 4:2:2 and 4:4:0, which are not scaled.
_EVEN_CHROMA = (((1, 1),), ((1, 1), (1, 1), (1, 1)), ((2, 2), (1, 1), (1, 1)))
_OTHER_CHROMA = (((2, 1), (1, 1), (1, 1)), ((1, 2), (1, 1), (1, 1)))


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
        scalable, orientation = known
        image = replace(image, by="libjpeg", orientation=orientation)
        if self._needed is None or not scalable:
            return image
        view = None if self._view is None else self._view(ordinal, image.upright_size)
        return replace(image, scale=scale_for(image.upright_size, self._needed, view))


def scale_for(size: Size, needed: Size, view: Tensor | None = None) -> Scale:
    """Return the largest divisor of both sides that leaves an image, or a view of it, as large as needed.

    Args:
        size: Height and width of the upright image, in pixels.
        needed: Height and width that suffice.
        view: (2, 3), from [-1, 1] of the view to [-1, 1] of the image; None for the whole.
    """
    height, width = size
    across, down = width / needed[1], height / needed[0]
    pixels = min(across, down)  # pixels of the image for each needed pixel, along the axis that has fewer
    if view is not None:
        by_view = view[:, :2].double() * torch.tensor([[width], [height]])
        by_needed = by_view / torch.tensor([needed[1], needed[0]])
        pixels = float(torch.linalg.svdvals(by_needed)[-1])  # the view may be rotated
    return next((scale for scale in _SCALES if scale <= pixels), 1)


def _needed(zoom: nn.Module) -> Size | None:
    """Height and width that suffice for the zoomed image and for the low-resolution copy."""
    needs = ZoomNeeds.of(zoom)
    source, looks = needs.source_px, needs.lowres_size
    if source is None or looks is None:
        return source
    return max(source[0], looks[0]), max(source[1], looks[1])


def _known(image: EncodedImage) -> tuple[bool, int] | None:
    """Return whether a JPEG may be scaled, and its orientation, if libjpeg-turbo decodes it as DALI does, else None."""
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
    return None if orientation is None else (header.frame.factors in _EVEN_CHROMA, orientation)


def is_usual(frame: JpegFrame) -> bool:
    """Return whether a JPEG is of a kind that is given to libjpeg-turbo: the kinds that the tests decode.

    Some rarer kinds (lossless, arithmetic, other depths, other sampling factors) end the process if they are scaled.
    """
    return frame.kind in _FRAMES and frame.bits == 8 and frame.factors in (*_EVEN_CHROMA, *_OTHER_CHROMA)
