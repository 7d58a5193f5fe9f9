"""The classifier that ``foveal train`` trains by default."""

from jaxtyping import Float
from torch import Tensor, nn


class SmallConvNet(nn.Module):
    """Five convolutions with batch norm, for images of some ten to a hundred pixels: under a hundred thousand weights.

    Give it (batch, 3, height, width) in [0, 1]. It halves the resolution only twice, because the object may be a few
    pixels wide, and takes the largest value of each feature in the image, so that the size of the object does not matter.

    Args:
        classes: Number of logits.
        width: Channels of the first convolution; the others have 2, 4, 4 and 4 times as many.
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, width),
            _conv(width, 2 * width, stride=2),
            _conv(2 * width, 4 * width),
            _conv(4 * width, 4 * width, stride=2),
            _conv(4 * width, 4 * width),
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Return logits."""
        logits: Tensor = self.head(self.features(images - 0.5).amax((2, 3)))
        return logits


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
