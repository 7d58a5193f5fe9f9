"""The last layer of a saliency network."""

from jaxtyping import Float
from torch import Tensor, nn


class OneChannelConv2d(nn.Conv2d):
    """A 1 x 1 ``Conv2d`` to one channel, with the same weights, that gives an image the same bits in any batch.

    With AVX-512, the last bits of oneDNN's convolution to one channel depend on the number of threads and of images.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, kernel_size=1, bias=False)

    def forward(self, input: Float[Tensor, "batch _in rows cols"]) -> Float[Tensor, "batch 1 rows cols"]:  # noqa: A002 - torch's name
        """Return the weighted sum of the channels."""
        return (input * self.weight[0]).sum(dim=1, keepdim=True)
