"""Sampling in a graph that is exported: by torch's own operators, so that the program runs where Foveal is not installed."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from foveal.sampler.frames import Images, identity_grid, is_dense_float
from foveal.sampler.kernels import is_exporting
from foveal.sampler.kernels.plain import average_in_graph


def in_exported_program(images: Images, grid: Float[Tensor, "batch height width 2"] | None = None) -> bool:
    """Whether a graph is being exported, in which a loop may take the place of Foveal's operators.

    The loop has no derivatives. A program of ``torch.export`` that may be trained, since images or grid want a gradient,
    keeps the operators, which have them; ONNX is for inference alone.
    """
    if not is_exporting():
        return False
    inputs = [each for each in (images, grid) if isinstance(each, Tensor)]
    learns = torch.is_grad_enabled() and any(each.requires_grad for each in inputs)
    return not learns or torch.onnx.is_in_onnx_export()


def sample_in_graph(
    images: Images, grid: Float[Tensor, "batch height width 2"], *, antialias: bool
) -> Float[Tensor, "batch channel height width"]:
    """Do what `sample` does, in the grid's precision; not normalised."""
    read = average_in_graph if antialias else read_points
    if is_dense_float(images):
        return read(images.to(grid.dtype), grid)  # type: ignore[union-attr]
    if isinstance(images, Tensor):
        return read(images.to(grid.dtype) / 255, grid).clamp(max=1)  # white may be rounded up
    each = (image.permute(2, 0, 1)[None].to(grid.dtype) / 255 for image in images)
    return torch.cat([read(image, points[None]) for image, points in zip(each, grid, strict=True)]).clamp(
        max=1
    )


def lowres_in_graph(images: Images, size: tuple[int, int]) -> Float[Tensor, "batch 3 height width"]:
    """Do what `lowres` does for uint8 images: the mean over each cell."""
    grid = identity_grid(size, torch.float32, images[0].device)
    batch = images.shape[0] if isinstance(images, Tensor) else len(images)
    return sample_in_graph(images, grid.expand(batch, -1, -1, -1), antialias=True)


def read_points(
    images: Float[Tensor, "batch channel _height _width"], grid: Float[Tensor, "batch height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """Read one point to an output pixel, bilinearly; beyond the border the border's value."""
    read: Tensor = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read
