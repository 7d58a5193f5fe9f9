"""Pillow in worker processes, as in most training scripts; in draft mode libjpeg decodes at a fraction of the size."""

import io
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._webdataset import webdataset_peer


def pillow_peer(*, size: int, batch_size: int, workers: int, draft: bool = False) -> Peer:
    """Return the loader."""
    decode = partial(resized, size=size, draft=draft)
    return webdataset_peer(decode, batch_size=batch_size, workers=workers)


def resized(file: bytes, *, size: int, draft: bool) -> UInt8[Tensor, "3 size size"]:
    """Decode and resize one image."""
    image = Image.open(io.BytesIO(file))
    if draft:
        image.draft("RGB", (size, size))
    upright = ImageOps.exif_transpose(image).convert("RGB")
    pixels = np.array(upright.resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1)
