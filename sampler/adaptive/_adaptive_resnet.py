"""A ResNet whose last stages are fine where a mask says so."""

from jaxtyping import Float, Num
from torch import Tensor

from foveal.sampler.adaptive._adaptive_downsample import AdaptiveDownsample
from foveal.sampler.adaptive._dilated_resnet import DilatedResNet


class AdaptiveResNet(DilatedResNet):
    """The features of a ResNet at a stride of 8, computed more coarsely where a mask says so (Hesse et al. 2023).

    Its arguments, weights and their names are those of :class:`DilatedResNet`, and so of torchvision's ResNet. Weights that
    were trained with strides replaced by dilation are right for masks of zeros, those of the ordinary network for the
    largest mask; ``AdaptiveResNet.from_weights(weights, output_stride=16)`` takes either.

    Args:
        depth: As :class:`DilatedResNet`.
        output_stride: The coarsest, where the mask is largest: 16 for masks of 0 and 1, or 32 for masks of 0 to 2.
        width: As :class:`DilatedResNet`.
        bottleneck: As :class:`DilatedResNet`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> net = AdaptiveResNet(18)
        >>> images = torch.zeros(1, 3, 64, 96)
        >>> net(images, edge_mask(images)).shape
        torch.Size([1, 512, 8, 12])
    """

    def __init__(
        self,
        depth: int | tuple[int, int, int, int] = 50,
        *,
        output_stride: int = 16,
        width: int = 64,
        bottleneck: bool | None = None,
    ) -> None:
        if output_stride not in (16, 32):
            raise ValueError(f"output_stride must be 16 or 32, coarser than 8, got {output_stride!r}.")
        super().__init__(depth, output_stride=output_stride, width=width, bottleneck=bottleneck)

    def forward(  # type: ignore[override]
        self,
        images: Float[Tensor, "batch 3 height width"],
        mask: Num[Tensor, "batch 1 rows cols"],
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Return features at a stride of 8 of images whose mask is known beforehand."""
        return self.coarsen(self.fine(images), mask)

    def coarsen(
        self, fine: Float[Tensor, "batch _in rows cols"], mask: Num[Tensor, "batch 1 rows cols"]
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Run the last two stages on ``fine(images)``, with a mask that may depend on those."""
        features: Tensor = AdaptiveDownsample(self.layer3, self.layer4)(fine, mask)
        return features
