"""Saliency for a whole data set: where its objects mostly are."""

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from foveal.sampler.frames import check_tensor


class FixedSaliency(nn.Module):
    """The same logits for every image (Thavamani et al., LZU, CVPR 2023: one prior for a data set).

    The map covers the image, or the view if there are views. It is a buffer: it moves with the module and is saved with
    it, but is not trained.

    Args:
        saliency: (rows, cols) non-negative weights of any scale, first and last nodes on the image's edges.

    Raises:
        TypeError: The map is no tensor.
        ValueError: The map has another shape, is negative somewhere, sums to zero, or is not finite.

    Example:
        >>> road = torch.linspace(0, 1, 31)[:, None].expand(31, 51)  # the lower, the nearer, the more
        >>> zoom = SaliencySampler((256, 512), saliency=FixedSaliency(road))
    """

    saliency: Tensor

    def __init__(self, saliency: Real[Tensor, "rows cols"]) -> None:
        super().__init__()
        check_tensor(saliency, "saliency")
        if saliency.ndim != 2:
            raise ValueError(f"saliency must be (rows, cols), got shape {tuple(saliency.shape)!r}.")
        weights = saliency.double()
        total = weights.sum()
        # A tensor on "meta" has no numbers: they come with the weights.
        if not saliency.is_meta and not bool(total.isfinite() & (total > 0) & (weights >= 0).all()):
            raise ValueError(
                f"saliency must be finite and non-negative with a positive sum, got values from {weights.min().item()!r} "
                f"to {weights.max().item()!r}: apply a ReLU, or add a small constant."
            )
        share = (weights / total).to(torch.promote_types(saliency.dtype, torch.float32))
        self.register_buffer("saliency", share)

    @property
    def map_size(self) -> tuple[int, int]:
        """(rows, cols) of the map."""
        rows, cols = self.saliency.shape
        return rows, cols

    def forward(
        self, small: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return the map's logarithm for each image; minus infinity where the map is zero."""
        return self.saliency.log().expand(small.shape[0], 1, -1, -1)
