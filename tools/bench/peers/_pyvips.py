"""libvips in workers: its thumbnails have libjpeg decode at a fraction of the size (shrink-on-load)."""

from functools import partial

import numpy as np
import pyvips
import torch
from jaxtyping import UInt8
from torch import Tensor

from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._webdataset import webdataset_peer


def pyvips_peer(*, size: int, batch_size: int, workers: int) -> Peer:
    """Return the loader."""
    return webdataset_peer(partial(resized, size=size), batch_size=batch_size, workers=workers)


def resized(file: bytes, *, size: int) -> UInt8[Tensor, "3 size size"]:
    """Decode and resize one image."""
    image = pyvips.Image.thumbnail_buffer(file, size, height=size, size="force").colourspace("srgb")
    pixels = image.numpy().reshape(size, size, -1)[..., :3]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
