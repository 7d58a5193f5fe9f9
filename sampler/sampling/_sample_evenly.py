"""Uniform sampling of images or of views of them."""

from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import Images, Views, even_grid
from foveal.sampler.sampling._pixel_format import PixelFormat
from foveal.sampler.sampling._sample import sample_as


def sample_evenly(
    images: Images, size: tuple[int, int], views: Views | None, form: PixelFormat, *, antialias: bool
) -> tuple[Float[Tensor, "batch channel height width"], Float[Tensor, "batch height width 2"]]:
    """Sample each image, or its view, on the uniform grid; return the pixels and the grid.

    A footprint is computed from the steps to neighbouring points. An output that is one pixel wide or high has no
    neighbours along that axis, and a view may show any part of the source; in this case two points are sampled and averaged.
    """
    grid = even_grid(images, size, views)
    if views is None:
        grid = grid.clone()  # the grid of whole images is kept for later calls, and users may write to theirs
    alone = [side == 1 for side in size]
    if views is None or not antialias or not any(alone):
        return sample_as(images, grid, form, antialias=antialias), grid
    height, width = (2 if single else side for single, side in zip(alone, size, strict=True))
    finer = sample_as(images, even_grid(images, (height, width), views), PixelFormat(), antialias=True)
    along = [dim for dim, single in zip((2, 3), alone, strict=True) if single]
    return form.written(finer.mean(dim=along, keepdim=True)), grid
