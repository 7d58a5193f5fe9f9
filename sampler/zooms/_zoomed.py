"""What every sampler answers."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import _register_namedtuple


class Zoomed(NamedTuple):
    """A zoomed batch and how it came about; unpacks as ``images, grid, saliency``."""

    images: Float[Tensor, "batch *patches channel height width"]
    """The sampled pixels; [0, 1] where the source was uint8, else on the source's own scale; or normalised from there."""

    grid: Float[Tensor, "batch *patches height width 2"]
    """Where each output pixel looked: (x, y) in [-1, 1] of the source, ``align_corners=False``."""

    saliency: Float[Tensor, "batch 1 rows cols"]
    """What drew the grid or the patches: non-negative, each map sums to one."""

    def __repr__(self) -> str:
        """Show shapes; nobody reads pixels."""
        shapes = ", ".join(f"{name}={tuple(value.shape)}" for name, value in self._asdict().items())
        return f"Zoomed({shapes})"


# By this name torch.export.save writes what a sampler returns, and torch.export.load finds it again.
_register_namedtuple(Zoomed, serialized_type_name="foveal.sampler.Zoomed")
