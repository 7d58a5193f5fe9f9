"""Frames of reference: normalised grids, pixels, views of images, ragged images and labels."""

from foveal.sampler.frames._constant import constant
from foveal.sampler.frames._frame import identity_grid, interpolation, outer_grid, pixel_centres
from foveal.sampler.frames._images import (
    Border,
    Images,
    as_ragged,
    check_channels,
    check_images,
    check_tensor,
    count,
    grid_form,
    is_dense_float,
)
from foveal.sampler.frames._is_recorded import is_recorded
from foveal.sampler.frames._is_transformed import is_transformed
from foveal.sampler.frames._lattice import Frame, cell_means, even_edges, to_lattice
from foveal.sampler.frames._ragged_labels import (
    SourceSize,
    as_given,
    check_corners,
    each_size,
    padded,
    widths_and_heights,
)
from foveal.sampler.frames._size import height_and_width, rows_and_cols, whole
from foveal.sampler.frames._underlying import underlying
from foveal.sampler.frames._views import (
    Views,
    boxes_around,
    boxes_in_views,
    compose,
    even_grid,
    into_views,
    inverse,
    out_of_views,
    planes_out_of_views,
)

__all__ = [
    "Border",
    "Frame",
    "Images",
    "SourceSize",
    "Views",
    "as_given",
    "as_ragged",
    "boxes_around",
    "boxes_in_views",
    "cell_means",
    "check_channels",
    "check_corners",
    "check_images",
    "check_tensor",
    "compose",
    "constant",
    "count",
    "each_size",
    "even_edges",
    "even_grid",
    "grid_form",
    "height_and_width",
    "identity_grid",
    "interpolation",
    "into_views",
    "inverse",
    "is_dense_float",
    "is_recorded",
    "is_transformed",
    "out_of_views",
    "outer_grid",
    "padded",
    "pixel_centres",
    "planes_out_of_views",
    "rows_and_cols",
    "to_lattice",
    "underlying",
    "whole",
    "widths_and_heights",
]
