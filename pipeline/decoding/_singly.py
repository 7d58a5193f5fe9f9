"""Decodes one image at a time, in a thread: all images that are not in DALI's batches."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from foveal.pipeline.decoding._arrays import read_npy, read_pnm
from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding._levels import to_levels
from foveal.pipeline.decoding._libjpeg import decode_jpeg
from foveal.pipeline.decoding._pillow import decode_with_pillow, to_srgb
from foveal.pipeline.decoding._profile import profile_of
from foveal.pipeline.decoding.formats import FormatError, FormatRefusedError, Samples, decode_by_helper
from foveal.pipeline.decoding.headers import NPY, upright
from foveal.pipeline.flow import Buffers


def decode_singly(image: EncodedImage, buffers: Buffers) -> UInt8[Tensor, "_height _width 3"]:
    """Decode an image with the decoder that :func:`peek` chose.

    Raises:
        DecodeError: It cannot be decoded.
        ValueError: libjpeg-turbo cannot decode it, but DALI may.
    """
    match image.by:
        case "libjpeg":
            return leveled(image, decode_jpeg(image, buffers))
        case "pillow":
            return by_pillow(image)
        case "numpy":
            read = read_npy if image.kind == NPY else read_pnm
            return _tensor(image, read(image.file, image.rule.bands))
        case _:
            return _by_helper(image)


def leveled(image: EncodedImage, pixels: Tensor) -> UInt8[Tensor, "_height _width 3"]:
    """Return the levels, by the image's rule, of pixels that DALI or libjpeg-turbo decoded: RGB, of any depth.

    Raises:
        DecodeError: They need a window, or the profile cannot be used.
    """
    if pixels.dtype == torch.uint8 and image.rule.keeps_pixels:
        return pixels
    white = {torch.uint8: 255.0, torch.uint16: 65535.0}.get(pixels.dtype, 1.0)
    return _tensor(image, Samples(pixels.cpu().numpy(), white=white), chosen=False)


def by_pillow(image: EncodedImage) -> UInt8[Tensor, "_height _width 3"]:
    """Decode with Pillow, unless Pillow would lose something that the rule needs.

    Raises:
        DecodeError: It cannot be decoded, or only with fewer bits than are stored.
    """
    profile = profile_of(image.file, image.kind) if image.rule.color is not None else None
    samples = decode_with_pillow(image.file, profile=profile)
    if image.by not in ("pillow", "dali") and samples.values.dtype == np.uint8:
        raise DecodeError(
            f"is broken: DALI refuses it, and of {image.kind.name} of this depth Pillow gives 8 bits only"
        )
    return _tensor(image, samples, chosen=False, converted=samples.values.dtype == np.uint8)


def _by_helper(image: EncodedImage) -> Tensor:
    size, rule = (image.height, image.width), image.rule
    try:
        samples = decode_by_helper(
            image.kind, image.file, size, image.pixel_bytes, rule.bands, shown=rule.window is None
        )
    except FormatRefusedError as error:
        raise DecodeError(str(error), kind="unsupported") from error
    except FormatError as error:
        raise DecodeError(f"is broken: {image.kind.needs[0]} says {str(error)!r}") from error
    return _tensor(image, samples)


def _tensor(
    image: EncodedImage, samples: Samples, *, chosen: bool = True, converted: bool = False
) -> UInt8[Tensor, "_height _width 3"]:
    """Return the levels of samples, upright, and in sRGB if the rule says so.

    Args:
        image: The encoded image.
        samples: The decoded samples.
        chosen: Whether their bands are already those of the rule, and not yet RGB.
        converted: Whether their colours are already converted.
    """
    rule = image.rule
    profile = profile_of(image.file, image.kind) if rule.color is not None and not converted else None
    if profile is not None and samples.cmyk and rule.window is None:
        levels = np.rint(samples.values * (255 / (samples.white or 1.0))).clip(0, 255).astype(np.uint8)
    else:
        levels = to_levels(samples, rule.window, 8 if profile is not None else image.levels_bits)
    if not chosen and rule.bands is not None:
        levels = levels[..., list(rule.bands)]
    if profile is not None:
        levels = to_srgb(levels, profile)
    if image.by == "helper":
        levels = upright(levels, image.orientation)
    return torch.from_numpy(np.ascontiguousarray(levels))
