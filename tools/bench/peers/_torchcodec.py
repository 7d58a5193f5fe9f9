"""torchcodec's image decoder in workers; resized by torch."""

from functools import partial

from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate
from torchcodec.decoders import decode_image

from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._webdataset import webdataset_peer


def torchcodec_peer(*, size: int, batch_size: int, workers: int) -> Peer:
    """Return the loader."""
    return webdataset_peer(partial(resized, size=size), batch_size=batch_size, workers=workers)


def resized(file: bytes, *, size: int) -> UInt8[Tensor, "3 size size"]:
    """Decode and resize one image."""
    dense = decode_image(file)[None]
    small: Tensor = interpolate(dense, (size, size), mode="bilinear", antialias=True)
    return small[0].contiguous()
