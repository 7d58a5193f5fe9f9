"""Convolutions beyond whose borders the image goes on, in eager mode and compiled."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from foveal.sampler.frames import is_transformed

# Values of one image up to which torch does not use oneDNN: "for some case, native is faster" (aten, Convolution.cpp).
_SMALL = 20480


class EdgeConv2d(nn.Conv2d):
    """`Conv2d(bias=False, padding_mode="replicate")`, with the same weights and values, that torch.compile can train."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int, *, padding: int, groups: int = 1
    ) -> None:
        super().__init__(
            inputs, outputs, size, stride, padding, groups=groups, bias=False, padding_mode="replicate"
        )

    def forward(self, input: Float[Tensor, "batch _in _rows _cols"]) -> Float[Tensor, "batch _out _r _c"]:  # noqa: A002 - torch's name
        """Convolve, with the border's pixels beyond the border."""
        reach = int(self.padding[0])
        padded = edge_padded(input, reach) if reach else input
        alone = _differs_alone(padded)
        seen = padded.expand(2, -1, -1, -1) if alone else padded
        found = conv2d(seen, _in_own_order(self.weight), None, self.stride, 0, self.dilation, self.groups)
        return found[:1] if alone else found


def _differs_alone(images: Float[Tensor, "batch channel height width"]) -> bool:
    """Return whether these are one image, so small that torch convolves it by other code than two, which rounds otherwise."""
    # torch.vmap convolves many images that look like one.
    if torch.compiler.is_compiling() or is_transformed():
        return False
    return len(images) == 1 and images.is_cpu and images.numel() <= _SMALL


def _in_own_order(weight: Float[Tensor, "_out _in _r _c"]) -> Float[Tensor, "_out _in _r _c"]:
    """Return a weight whose gradient has the weight's strides, which DistributedDataParallel expects, whatever those of the images are."""
    return weight if torch.compiler.is_compiling() else weight.flatten().view(weight.shape)


def edge_padded(
    images: Float[Tensor, "batch channel _height _width"], reach: int
) -> Float[Tensor, "batch channel height width"]:
    """Return images with so many pixels more on each side, which are those of the border.

    Inductor refuses the backward of torch's own padding where a channels-last gradient comes to it ("expected size ...,
    stride ..."), so a compiled graph gets rows and columns side by side.
    """
    if not torch.compiler.is_compiling():
        padded: Tensor = pad(images, (reach, reach, reach, reach), mode="replicate")
        return padded
    above, below = (images[:, :, k : k + 1].expand(-1, -1, reach, -1) for k in (0, images.shape[2] - 1))
    tall = torch.cat([above, images, below], dim=2)
    before, behind = (tall[..., k : k + 1].expand(-1, -1, -1, reach) for k in (0, images.shape[3] - 1))
    return torch.cat([before, tall, behind], dim=3)
