"""Fields of a sample: members of a shard, and labels that follow the zoom."""

from foveal._choices import BoxFormat
from foveal.pipeline.fields._boxes import Boxes, WarpedBoxes, guide_of
from foveal.pipeline.fields._fields import IMAGE, Field, Fields, collate, field_name, parse_fields
from foveal.pipeline.fields._mask import Mask
from foveal.pipeline.fields._members import MemberError, alternatives, encode_array, find_member, kind_of
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
    "encode_array",
    "field_name",
    "find_member",
    "first_misfit",
    "guide_of",
    "kind_of",
    "parse_fields",
    "warp_labels",
]
