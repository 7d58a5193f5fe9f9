"""A saliency network that sees finer detail than :class:`SaliencyNet`, for a zoom that is taught where to look."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from foveal.sampler.frames import check_channels, rows_and_cols, whole
from foveal.sampler.saliency._channels_last import channels_last
from foveal.sampler.saliency._edge_conv import EdgeConv2d
from foveal.sampler.saliency._framed_map import in_multiples
from foveal.sampler.saliency._one_channel_conv import OneChannelConv2d

_WIDTH = 8
# The image's sides must be multiples of this, so that three strides of two end on the edges.
_STRIDES = 8


class SaliencyUNet(nn.Module):
    """Saliency logits from a small U-Net (Ronneberger et al., MICCAI 2015) of fourteen thousand weights.

    Give it (batch, channels, height, width) in [0, 1], by default a 128 x 128 copy. It computes features at a half, a quarter and
    an eighth of that resolution, and joins the last two. It takes twice the time of :class:`SaliencyNet`, and is more
    accurate once something teaches it: the classifier's evidence (:class:`EvidenceTeacher`), or the boxes of a training set
    (``foveal train --boxes``). With a classifier's loss alone it does not become better than the smaller network. GroupNorm has no
    statistics beyond the sample, so the same image gives the same map in any batch.

    The windows of all convolutions are centred on the nodes of a lattice from edge to edge, which is where the map is read.
    Images whose sides are no multiples of 8 pixels are resized to the next ones.

    Args:
        map_size: (rows, cols) of the map, or one number for both.
        channels: Channels of its input: 4 if a map is the fourth (:class:`MapChannelSaliency`).
    """

    def __init__(self, map_size: int | tuple[int, int] = (31, 31), *, channels: int = 3) -> None:
        super().__init__()
        self.map_size, width = rows_and_cols(map_size), _WIDTH
        self.channels = whole(channels, "channels")
        self.fine = nn.Sequential(_block(channels, width, stride=2, size=4), _block(width, width))
        self.middle = nn.Sequential(_block(width, 2 * width, stride=2), _block(2 * width, 2 * width))
        self.coarse = nn.Sequential(_block(2 * width, 2 * width, stride=2), _block(2 * width, 2 * width))
        self.joined = _block(4 * width, 2 * width)
        # A softmax follows, so a bias would change nothing. It is zero, so that a new network's map is even.
        self.head = OneChannelConv2d(2 * width)
        nn.init.zeros_(self.head.weight)

    def forward(
        self, small: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map."""
        check_channels(small, self.channels, type(self).__name__)
        first, second = self.fine
        features: Tensor = first(in_multiples(small, _STRIDES).contiguous() - 0.5)
        quarter = self.middle(second(channels_last(features) if self.training else features))
        eighth = interpolate(self.coarse(quarter), quarter.shape[2:], mode="bilinear", align_corners=True)
        logits = self.head(self.joined(torch.cat([quarter, eighth], dim=1)))
        return interpolate(logits, self.map_size, mode="bilinear", align_corners=True)


def _block(inputs: int, outputs: int, *, stride: int = 1, size: int = 3) -> nn.Sequential:
    # The windows of an even kernel are centred between pixels: with half of it as padding, the outermost are centred on
    # the edges.
    conv = EdgeConv2d(inputs, outputs, size, stride, padding=size // 2)
    return nn.Sequential(conv, nn.GroupNorm(4, outputs), nn.ReLU(inplace=True))
