"""A saliency network that is small enough to run on the CPU during decoding."""

import math
from collections.abc import Mapping
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from foveal.sampler.frames import Frame, check_channels, rows_and_cols, whole
from foveal.sampler.saliency._channels_last import channels_last
from foveal.sampler.saliency._edge_conv import EdgeConv2d
from foveal.sampler.saliency._framed_map import FramedMap, in_multiples
from foveal.sampler.saliency._one_channel_conv import OneChannelConv2d

# Size of the first convolution's kernel. The windows of an even one are centred between pixels, so that with half of it
# as padding the outermost are centred on the image's edges.
_STEM: dict[Frame, int] = {"nodes": 6, "cells": 5}
# The image's sides must be multiples of this, so that the strides of stem and context end on the edges.
_STRIDES = 8


class SaliencyNet(FramedMap):
    """Saliency logits from a small convolutional network of under seven thousand weights.

    Give it (batch, channels, height, width) in [0, 1], by default a 128 x 128 copy. It computes details at a quarter of that
    resolution, adds the surroundings at an eighth, and resizes the sum to the map. GroupNorm has no statistics beyond the
    sample, so the same image gives the same map in any batch. Untrained, its map is nearly uniform (it would not zoom),
    but every weight receives a gradient. With ``contrast`` the untrained network prefers what stands out from its
    surroundings: each detail is the response of random filters, cut off at zero, and all details add to the saliency.

    The windows of its strided convolutions are centred from edge to edge at equal distances, which is where its map is
    read. Images whose sides are not multiples of 8 pixels are resized.

    Args:
        map_size: (rows, cols) of the map, or one number for both.
        contrast: Weight of each of 32 details before training; 0 for random weights about zero.
        zero_init: Whether the last layers start at zero, so that every logit is zero before training: the start for a
            network whose logits are added to a prior (:class:`PriorSaliency`).
        channels: Channels of its input: 4 if a map is the fourth (:class:`MapChannelSaliency`).
        frame: ``"nodes"``; or ``"cells"``, the network of earlier versions, whose map was read up to half a cell and 1.5
            of 128 pixels off. Loading weights of such a version sets it.

    Raises:
        ValueError: ``contrast`` is negative or not finite, or given together with ``zero_init``.
    """

    def __init__(
        self,
        map_size: int | tuple[int, int] = (31, 31),
        *,
        contrast: float = 0.0,
        zero_init: bool = False,
        channels: int = 3,
        frame: Frame = "nodes",
    ) -> None:
        super().__init__(frame)
        if not 0 <= contrast < math.inf:
            raise ValueError(f"contrast must be finite and not negative, got {contrast!r}.")
        if contrast and zero_init:
            raise ValueError(f"contrast must be 0 with zero_init, got {contrast!r}.")
        self.map_size = rows_and_cols(map_size)
        self.channels = whole(channels, "channels")
        self.stem = nn.Sequential(
            _block(_window(channels, 24, frame, stride=4)),
            _block(_window(24, 24, frame, groups=24)),
            _block(_pointwise(24, 32)),
        )
        self.context = nn.Sequential(
            _block(_window(32, 32, frame, stride=2, groups=32)), _block(_pointwise(32, 64))
        )
        # A softmax follows, so a bias would change nothing.
        self.detail = OneChannelConv2d(32)
        self.surroundings = OneChannelConv2d(64)
        spread = 0.0 if zero_init else 0.01
        nn.init.normal_(self.detail.weight, mean=contrast, std=0.0 if contrast else spread)
        nn.init.normal_(self.surroundings.weight, std=contrast / 10 if contrast else spread)

    def forward(
        self, small: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map."""
        check_channels(small, self.channels, type(self).__name__)
        first, *others = self.stem
        features: Tensor = first(self._whole_strides(small).contiguous() - 0.5)
        # Only EdgeConv2d keeps the order of its weights' gradients.
        if self.training and self.frame == "nodes":
            features = channels_last(features)
        for block in others:
            features = block(features)
        near = self.detail(features)
        around = self.surroundings(self.context(features))
        return self._resized(near) + self._resized(around)

    def _whole_strides(
        self, small: Float[Tensor, "batch channel _height _width"]
    ) -> Float[Tensor, "batch channel height width"]:
        return small if self.frame == "cells" else in_multiples(small, _STRIDES)

    def _resized(self, logits: Float[Tensor, "batch 1 _rows _cols"]) -> Float[Tensor, "batch 1 rows cols"]:
        return interpolate(logits, self.map_size, mode="bilinear", align_corners=self.frame == "nodes")

    def _fit_frame(self) -> None:
        for block in cast("list[nn.Sequential]", [self.stem[0], self.stem[1], self.context[0]]):
            old = cast("nn.Conv2d", block[0])
            new = _window(
                old.in_channels, old.out_channels, self.frame, stride=old.stride[0], groups=old.groups
            )
            # The parameter object stays the same, because an optimiser may refer to it.
            old.weight.data = new.weight.data.to(old.weight)
            new.weight = old.weight
            block[0] = new

    def _frame_of(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any]
    ) -> Frame:
        weight = state_dict.get(f"{prefix}stem.0.0.weight")
        if weight is None:
            return super()._frame_of(state_dict, prefix, local_metadata)
        return "cells" if weight.shape[-1] == _STEM["cells"] else "nodes"


def _window(inputs: int, outputs: int, frame: Frame, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    size = _STEM[frame] if stride == 4 else 3
    if frame == "cells":
        return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    # Zeros beyond the border would look like an edge: on bright images up to nine tenths of untrained saliency lay there.
    return EdgeConv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups)


def _pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return EdgeConv2d(inputs, outputs, size=1, stride=1, padding=0)


def _block(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.GroupNorm(4, conv.out_channels), nn.ReLU(inplace=True))
