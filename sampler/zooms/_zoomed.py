"""The result of every sampler."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import _register_namedtuple


class Zoomed(NamedTuple):
    """A zoomed batch with its grid and saliency; unpacks as ``images, grid, saliency``."""

    images: Float[Tensor, "batch *patches channel height width"]
    """The sampled pixels: in [0, 1] if the source was uint8, else in the source's own scale; normalised if the sampler does so."""

    grid: Float[Tensor, "batch *patches height width 2"]
    """Where each output pixel looked: (x, y) in [-1, 1] of the source, ``align_corners=False``."""

    saliency: Float[Tensor, "batch 1 rows cols"]
    """The saliency from which the grid or the patches were computed: non-negative, each map sums to one."""

    def __repr__(self) -> str:
        """Show shapes instead of pixels."""
        shapes = ", ".join(f"{name}={tuple(value.shape)}" for name, value in self._asdict().items())
        return f"Zoomed({shapes})"


# torch.export.save writes a sampler's result under this name, and torch.export.load finds it again.
_register_namedtuple(Zoomed, serialized_type_name="foveal.sampler.Zoomed")
