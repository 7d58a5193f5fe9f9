"""OpenCV in workers: libjpeg decodes at a half, a quarter or an eighth, no smaller than the result; then the mean over areas."""

import io
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._webdataset import webdataset_peer

_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}


def opencv_peer(*, size: int, batch_size: int, workers: int) -> Peer:
    """Return the loader."""
    return webdataset_peer(partial(resized, size=size), batch_size=batch_size, workers=workers)


def resized(file: bytes, *, size: int) -> UInt8[Tensor, "3 size size"]:
    """Decode and resize one image."""
    shortest = min(Image.open(io.BytesIO(file)).size)  # reads the header only
    factor = next(factor for factor in _REDUCED if factor == 1 or shortest >= factor * size)
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), _REDUCED[factor])
    if pixels is None:
        raise ValueError("OpenCV does not decode it.")
    small = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1)))
