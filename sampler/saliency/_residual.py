"""The two blocks of ResNet (He et al. 2016), with dilation in both; the names are torchvision's, so that its weights load.

If a stride is replaced by dilation, all taps after the stride are twice as far apart. This begins inside the first block,
so each block has one dilation for the convolutions up to the stride, and one for those after it.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the first has the stride.

    Args:
        inputs: Channels that come in.
        width: Channels that go out.
        stride: 1 or 2.
        dilations: Those of the first and the second convolution.
    """

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride, dilations[0])
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilations[1])
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(
        self, features: Float[Tensor, "batch _in _rows _cols"]
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Return the block's features."""
        shortcut = features if self.downsample is None else self.downsample(features)
        features = relu(self.bn1(self.conv1(features)))
        return relu(self.bn2(self.conv2(features)) + shortcut)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two of 1x1, and a shortcut; the 3x3 has the stride, as in torchvision's ("V1.5").

    Args:
        inputs: Channels that come in.
        width: Channels inside; four times as many go out.
        stride: 1 or 2.
        dilations: The first is that of the 3x3 convolution; the 1x1 convolution after it needs none.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, dilations[0])
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(
        self, features: Float[Tensor, "batch _in _rows _cols"]
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Return the block's features."""
        shortcut = features if self.downsample is None else self.downsample(features)
        features = relu(self.bn1(self.conv1(features)))
        features = relu(self.bn2(self.conv2(features)))
        return relu(self.bn3(self.conv3(features)) + shortcut)


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    conv = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
