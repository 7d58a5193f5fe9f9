"""ResNet without its last layer, in which strides can be replaced by dilation."""

import re
from collections.abc import Mapping
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from foveal.sampler.frames import whole
from foveal.sampler.saliency import BasicBlock, Bottleneck

Net = TypeVar("Net", bound="DilatedResNet")  # the tests' shape checker does not understand Self

_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class DilatedResNet(nn.Module):
    """The features of a ResNet (He et al. 2016) at an output stride of 8, 16 or 32.

    If the output stride is below 32, the strides of the last stages are replaced by dilation, with the weights of the
    ordinary network. The names in its state_dict are torchvision's. BasicBlock (18 and 34 layers), which torchvision does
    not dilate, is dilated like Bottleneck: after a stride that is left out, taps are twice as far apart.

    Args:
        depth: 18, 34, 50, 101 or 152 layers; or the number of blocks of each of the four stages.
        output_stride: Pixels of the image for a cell of the features, per side: 8, 16 or 32.
        width: Channels of the first stage.
        bottleneck: Whether the blocks are Bottleneck; by default from 50 layers on.

    Raises:
        TypeError: A number is no whole number.
        ValueError: An argument is out of range.

    Example:
        >>> DilatedResNet(18, output_stride=8)(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 512, 8, 12])
    """

    def __init__(
        self,
        depth: int | tuple[int, int, int, int] = 50,
        *,
        output_stride: int = 8,
        width: int = 64,
        bottleneck: bool | None = None,
    ) -> None:
        super().__init__()
        blocks, width = _blocks(depth), whole(width, "width")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride!r}.")
        wide = depth not in (18, 34) if bottleneck is None else bottleneck
        self._block = Bottleneck if wide else BasicBlock
        self._channels, self._dilation = width, 1
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, blocks[0], stride=1, dilate=False)
        self.layer2 = self._stage(2 * width, blocks[1], stride=2, dilate=False)
        self.layer3 = self._stage(4 * width, blocks[2], stride=2, dilate=output_stride < 16)
        self.layer4 = self._stage(8 * width, blocks[3], stride=2, dilate=output_stride < 32)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def channels(self) -> int:
        """Channels of the features."""
        return self._channels

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Return the features of images, normalised as the weights expect them."""
        features: Tensor = self.layer4(self.layer3(self.fine(images)))
        return features

    def fine(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channel rows cols"]:
        """Return the features before the last two stages, at a stride of 8."""
        features = max_pool2d(relu(self.bn1(self.conv1(images))), kernel_size=3, stride=2, padding=1)
        fine: Tensor = self.layer2(self.layer1(features))
        return fine

    @classmethod
    def from_weights(  # noqa: PYI019
        cls: type[Net], weights: Mapping[str, Tensor], *, output_stride: int | None = None
    ) -> Net:
        """Return a network with these weights; its blocks and widths are found from the names and shapes.

        Args:
            weights: The state_dict of a ResNet of this module or of torchvision, dilated or not; ``fc`` is left out.
            output_stride: As above; None for the class's own default.

        Raises:
            ValueError: They are not of a ResNet, or the output stride is out of range.
        """
        counts = (_count(weights, 1), _count(weights, 2), _count(weights, 3), _count(weights, 4))
        if 0 in counts or "conv1.weight" not in weights:
            raise ValueError(
                "weights must have conv1, layer1 to layer4, as torchvision names them, got "
                f"{sorted({name.split('.')[0] for name in weights})!r}."
            )
        stride = {} if output_stride is None else {"output_stride": output_stride}
        net = cls(
            counts,
            **stride,
            width=weights["conv1.weight"].shape[0],
            bottleneck="layer1.0.conv3.weight" in weights,
        )
        net.load_state_dict({name: value for name, value in weights.items() if not name.startswith("fc.")})
        return net

    def _stage(self, width: int, count: int, *, stride: int, dilate: bool) -> nn.Sequential:
        before = self._dilation
        if dilate:
            self._dilation, stride = before * stride, 1
        blocks: list[nn.Module] = []
        for number in range(count):
            first = number == 0
            dilations = (before if first else self._dilation, self._dilation)
            blocks.append(self._block(self._channels, width, stride if first else 1, dilations))
            self._channels = width * self._block.expansion
        return nn.Sequential(*blocks)


def _blocks(depth: int | tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    counts = depth if isinstance(depth, (list, tuple)) else _DEPTHS.get(depth, ())
    if len(counts) != 4:
        raise ValueError(
            f"depth must be one of {sorted(_DEPTHS)}, or the blocks of four stages, got {depth!r}."
        )
    one, two, three, four = (whole(count, "depth of a stage") for count in counts)
    return one, two, three, four


def _count(weights: Mapping[str, Tensor], stage: int) -> int:
    found = (re.match(rf"layer{stage}\.(\d+)\.", name) for name in weights)
    return len({match[1] for match in found if match})
