"""Scores for patches: the published network, the normalisation of its scores, and a regulariser that keeps them from collapsing."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import check_channels, check_tensor


class ScoreNet(nn.Module):
    """A lattice of scores of the low-resolution image (Cordonnier et al., CVPR 2021, section 4).

    Four 3 x 3 convolutions without padding (8, 16, 32 channels and 1; ReLU between them), then the maximum of each 8 x 8:
    from (height, width) to ``((height - 8) // 8, (width - 8) // 8)``. Cell (i, j) depends on 16 x 16 pixels, rows [8i, 8i
    + 16) and columns [8j, 8j + 16); ``first_centre_px`` and ``stride_px`` give their centres.

    Untrained, it mostly gives high scores to what stands out from its surroundings, as the largest of 64 random responses
    does.
    """

    stride_px = 8
    """Distance of the centres of neighbouring cells, in pixels of the input, along both axes."""

    first_centre_px = 8.0
    """Distance of the first cell's centre from the outer edge, in the same pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 16, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 1, kernel_size=3, bias=False),  # only differences of scores matter
            nn.MaxPool2d(8),
        )

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return scores of any scale.

        Raises:
            ValueError: The image is smaller than 16 x 16, or has no three channels.
        """
        check_channels(small, 3, type(self).__name__)
        if min(small.shape[2:]) < 16:
            raise ValueError(
                f"small must be at least (16, 16) for one score, got {tuple(small.shape[2:])!r} – raise lowres_size."
            )
        scores: Tensor = self.layers(small)
        return scores


def zero_to_one(
    scores: Float[Tensor, "batch positions"], eps: float = 1e-5
) -> Float[Tensor, "batch positions"]:
    """Return the scores of each image, stretched to [0, 1), the range for which the noise of :class:`PerturbedTopK` is meant.

    ``(s - min) / (max - min + eps)``, as published. Equal scores become zeros.
    """
    least, most = scores.aminmax(dim=1, keepdim=True)
    return (scores - least) / (most - least + eps)


def saliency_entropy(saliency: Float[Tensor, "batch 1 rows cols"]) -> Float[Tensor, " batch"]:
    """Return the entropy of each map, in nats, between 0 and ``log(rows * cols)``.

    The published regulariser of patch selection: ``loss - 0.01 * saliency_entropy(saliency).mean()`` keeps a
    network from settling on a few places before it has learned which.

    Args:
        saliency: The saliency of a sampler (``zoomed.saliency``, the loader's ``"__saliency__"``): non-negative, each map
            sums to one.

    Raises:
        TypeError: It is no tensor.
    """
    check_tensor(saliency, "saliency")
    share = saliency.flatten(1).to(torch.promote_types(saliency.dtype, torch.float32))
    # Below the smallest normal number the logarithm's derivative would be infinite, times a weight of zero.
    return -(share * share.clamp_min(torch.finfo(share.dtype).tiny).log()).sum(1)
