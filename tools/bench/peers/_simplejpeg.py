"""simplejpeg, which is libjpeg-turbo, in workers; resized by torch. It reads JPEGs only, and does not apply the EXIF orientation."""

from functools import partial

import simplejpeg
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._webdataset import webdataset_peer


def simplejpeg_peer(*, size: int, batch_size: int, workers: int, scaled: bool = False) -> Peer:
    """Return the loader. If scaled, it decodes at the smallest size that is large enough."""
    decode = partial(resized, size=size, scaled=scaled)
    return webdataset_peer(decode, batch_size=batch_size, workers=workers)


def resized(file: bytes, *, size: int, scaled: bool) -> UInt8[Tensor, "3 size size"]:
    """Decode and resize one image."""
    least = size if scaled else 0
    pixels = torch.from_numpy(simplejpeg.decode_jpeg(file, min_height=least, min_width=least))
    dense = pixels.permute(2, 0, 1)[None]
    small: Tensor = interpolate(dense, (size, size), mode="bilinear", antialias=True)
    return small[0].contiguous()
