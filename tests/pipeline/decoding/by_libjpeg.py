"""Images that libjpeg-turbo decodes, and zooms that need a given part of their resolution."""

import numpy as np
import torch

from foveal.pipeline import peek
from foveal.pipeline.decoding import ByLibjpeg, EncodedImage
from foveal.pipeline.decoding._libjpeg import decode_jpeg
from foveal.pipeline.flow import Buffers
from foveal.sampler import UniformSampler

ROOM = 300_000_000
WHOLE = UniformSampler(8, antialias=False)  # may show any pixel


class Needs(torch.nn.Module):
    """A zoom that says how many source pixels it can show, and that needs no low-resolution copy."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.source_px = height, width


def planned(file: bytes, zoom: torch.nn.Module) -> EncodedImage:
    """Return the image as libjpeg-turbo will decode it."""
    image = ByLibjpeg(zoom)(peek(file), 0)
    assert image.by == "libjpeg"
    return image


def decoded_by_libjpeg(file: bytes, zoom: torch.nn.Module) -> tuple[int, np.ndarray]:
    """Return the scale that was chosen, and the pixels."""
    image = planned(file, zoom)
    return image.scale, decode_jpeg(image, Buffers(ROOM)).numpy()
