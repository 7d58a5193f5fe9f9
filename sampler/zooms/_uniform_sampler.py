"""No zoom: the baseline with which every zoom is compared."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import Images, Views, height_and_width
from foveal.sampler.sampling import pixel_format, sample_evenly
from foveal.sampler.zooms._source_px import source_px_for
from foveal.sampler.zooms._zoomed import Zoomed, zoomed


class UniformSampler(nn.Module):
    """Samples every image on the uniform grid, with the same kind of result as a zooming sampler.

    It needs no low-resolution copy (``lowres_size`` is None). A source with more than twice as many pixels along each
    side as the output hardly changes means over footprints (``source_px``). Without anti-aliasing there is no such bound,
    because points may fall on any pixel. Its saliency is a single cell.

    Args:
        out_size: Height and width of the output in pixels, or one number for both.
        antialias: As in :func:`sample`: False reads one point to an output pixel.
        mean: As in :func:`sample`.
        std: As in :func:`sample`.
        dtype: As in :func:`sample`.
        channels_last: As in :func:`sample`.

    Raises:
        TypeError: The dtype is not a floating-point type.
        ValueError: An argument is out of range.
    """

    lowres_size: None = None
    takes_deep = True

    def __init__(
        self,
        out_size: int | tuple[int, int],
        *,
        antialias: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.out_size = height_and_width(out_size, "out_size")
        self.antialias = antialias
        self.form = pixel_format(mean, std, dtype, channels_last)

    @property
    def source_px(self) -> tuple[int, int] | None:
        """Height and width in pixels beyond which a larger source (or view of it) shows no more; None without ``antialias``."""
        return source_px_for(self.out_size, 1.0, antialias=self.antialias)

    def forward(
        self,
        images: Images,
        lowres: Float[Tensor, "batch channel rows cols"] | None = None,
        views: Views | None = None,
    ) -> Zoomed:
        """Sample the images, or views of them as :func:`compose` takes them; ``lowres`` is accepted and ignored."""
        del lowres
        pixels, grid = sample_evenly(images, self.out_size, views, self.form, antialias=self.antialias)
        return zoomed(pixels, grid, grid.new_ones(grid.shape[0], 1, 1, 1))
