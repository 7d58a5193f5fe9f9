"""Warping of labels: points, boxes and masks into the zoomed image and back."""

from foveal.sampler.labels._invert_grid import invert_grid, unzoom
from foveal.sampler.labels._warp_boxes import unwarp_boxes, warp_boxes
from foveal.sampler.labels._warp_masks import unwarp_masks, warp_masks
from foveal.sampler.labels._warp_points import unwarp_points, warp_points

__all__ = [
    "invert_grid",
    "unwarp_boxes",
    "unwarp_masks",
    "unwarp_points",
    "unzoom",
    "warp_boxes",
    "warp_masks",
    "warp_points",
]
