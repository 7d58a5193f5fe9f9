"""A saliency network small enough to run on the CPU beside the decoding."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate


class SaliencyNet(nn.Module):
    """Saliency logits from a small convolutional network of under six thousand weights.

    Give it (batch, 3, height, width) in [0, 1], by default a 128 x 128 copy. It looks at details on a quarter of that
    resolution, adds what an eighth shows of the surroundings, and resizes the sum to the map. GroupNorm has no
    statistics beyond the sample, so the same image gives the same map in any batch. Untrained, its map is nearly
    uniform (it would not zoom), but every weight receives a gradient. With ``contrast`` it begins by preferring what stands
    out from its surroundings: each detail is what random filters answer, cut off at zero, and all count for the zoom.

    Args:
        map_size: (rows, cols) of the map.
        contrast: With which weight each of 32 details counts before training; 0 for random weights about zero. ``foveal
            train`` begins with 0.03, to be divided by a temperature of 1/8 (docs/train.md).
    """

    def __init__(self, map_size: tuple[int, int] = (31, 31), *, contrast: float = 0.0) -> None:
        super().__init__()
        self.map_size = map_size
        self.stem = nn.Sequential(
            _conv(3, 24, size=5, stride=4), _conv(24, 24, groups=24), _conv(24, 32, size=1)
        )
        self.context = nn.Sequential(_conv(32, 32, stride=2, groups=32), _conv(32, 64, size=1))
        self.detail = nn.Conv2d(
            32, 1, kernel_size=1, bias=False
        )  # a softmax follows: it would not see a bias
        self.surroundings = nn.Conv2d(64, 1, kernel_size=1, bias=False)
        nn.init.normal_(self.detail.weight, mean=contrast, std=0.0 if contrast else 0.01)
        nn.init.normal_(self.surroundings.weight, std=contrast / 10 if contrast else 0.01)

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map."""
        features = self.stem(small - 0.5)
        return self._resized(self.detail(features)) + self._resized(self.surroundings(self.context(features)))

    def _resized(self, logits: Float[Tensor, "batch 1 _rows _cols"]) -> Float[Tensor, "batch 1 rows cols"]:
        return interpolate(logits, self.map_size, mode="bilinear", align_corners=False)


def _conv(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(4, outputs), nn.ReLU(inplace=True))
