"""Fields of a sample: members of a shard, and labels that follow the zoom."""

from foveal.pipeline.fields._boxes import Boxes, BoxFormat, WarpedBoxes
from foveal.pipeline.fields._fields import IMAGE, Field, Fields, collate, parse_fields
from foveal.pipeline.fields._mask import Mask
from foveal.pipeline.fields._members import MemberError, alternatives, find_member, kind_of
from foveal.pipeline.fields._points import Points
from foveal.pipeline.fields._spatial_field import Located, SpatialField, first_misfit, warp_labels

__all__ = [
    "IMAGE",
    "BoxFormat",
    "Boxes",
    "Field",
    "Fields",
    "Located",
    "Mask",
    "MemberError",
    "Points",
    "SpatialField",
    "WarpedBoxes",
    "alternatives",
    "collate",
    "find_member",
    "first_misfit",
    "kind_of",
    "parse_fields",
    "warp_labels",
]
