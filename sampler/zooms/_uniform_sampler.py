"""No zoom: the baseline that every zoom is measured against."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import Images, Views, height_and_width
from foveal.sampler.sampling import pixel_format, sample_evenly
from foveal.sampler.zooms._source_px import source_px_for
from foveal.sampler.zooms._zoomed import Zoomed


class UniformSampler(nn.Module):
    """Samples every image on the uniform grid, and answers as a zooming sampler does.

    It looks at nothing first (``lowres_size`` is None). Means over footprints hardly change beyond twice as many source
    pixels as there are of the output (``source_px``); points may fall on any pixel, so without anti-aliasing there is no
    such bound. Its saliency is a single cell.

    Args:
        out_size: Height and width of the output in pixels, or one number for both.
        antialias: As in :func:`sample`: False reads one point to an output pixel.
        mean: As in :func:`sample`.
        std: As in :func:`sample`.
        dtype: As in :func:`sample`.
        channels_last: As in :func:`sample`.

    Raises:
        TypeError: A dtype that is no floating point.
        ValueError: An argument is out of range.
    """

    lowres_size: None = None

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
        """Sample the images, or views of them as :func:`compose` has them; ``lowres`` is accepted and not looked at."""
        del lowres
        pixels, grid = sample_evenly(images, self.out_size, views, self.form, antialias=self.antialias)
        return Zoomed(pixels, grid, grid.new_ones(grid.shape[0], 1, 1, 1))
