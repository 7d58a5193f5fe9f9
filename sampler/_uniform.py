"""No zoom: the baseline that every zoom is measured against."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler._frame import identity_grid
from foveal.sampler._images import Images
from foveal.sampler._saliency_sampler import height_and_width
from foveal.sampler._sample import sample
from foveal.sampler._zoomed import Zoomed


class UniformSampler(nn.Module):
    """Samples every image on the uniform grid, and answers as a zooming sampler does.

    It looks at nothing first (``lowres_size`` is None), and its points may fall on any source pixel, so there is no
    bound on the resolution it can use (``source_px`` is None). Its saliency is a single cell.

    Args:
        out_size: Height and width of the output in pixels, or one number for both.
        antialias: As in :func:`sample`: False reads one point to an output pixel.
    """

    lowres_size: None = None
    source_px: None = None

    def __init__(self, out_size: int | tuple[int, int], *, antialias: bool = True) -> None:
        super().__init__()
        self.out_size = height_and_width(out_size, "out_size")
        self.antialias = antialias

    def forward(
        self, images: Images, lowres: Float[Tensor, "batch channel rows cols"] | None = None
    ) -> Zoomed:
        """Sample the images; ``lowres`` is accepted and not looked at."""
        del lowres
        batch = len(images)
        device = images[0].device if batch else torch.device("cpu")
        dtype = torch.float64 if batch and images[0].dtype == torch.float64 else torch.float32
        grid = identity_grid(self.out_size, dtype, device).expand(batch, -1, -1, -1)
        even = torch.ones(batch, 1, 1, 1, dtype=dtype, device=device)
        return Zoomed(sample(images, grid, antialias=self.antialias), grid, even)
