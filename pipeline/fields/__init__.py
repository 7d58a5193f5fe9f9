"""Fields of a sample: members of a shard, and labels that are warped with the image."""

from foveal._choices import BoxFormat, Frame, PointFormat
from foveal.pipeline.fields._absences import warn_if_absent
from foveal.pipeline.fields._boxes import Boxes, guide_of
from foveal.pipeline.fields._called import called
from foveal.pipeline.fields._fields import IMAGE, Field, Fields, collate, digest_of, field_name, parse_fields
from foveal.pipeline.fields._instance_masks import InstanceMasks
from foveal.pipeline.fields._labels_in_frame import (
    FoundLabel,
    areas_in_document,
    kind_of_label,
    labels_in_document,
    labels_in_frame,
    without_labels,
)
from foveal.pipeline.fields._mask import Classes, Mask
from foveal.pipeline.fields._members import (
    MemberError,
    MemberFault,
    alternatives,
    encode_array,
    find_member,
    kind_of,
    parse_member,
)
from foveal.pipeline.fields._points import ImagePoints, Points
from foveal.pipeline.fields._saliency import Saliency, SaliencyKind, map_guide_of
from foveal.pipeline.fields._spatial_field import Located, SpatialField, first_misfit, warp_labels
from foveal.pipeline.fields._warped_boxes import ImageBoxes, LabelledBoxes, WarpedBoxes
from foveal.pipeline.fields.formats import LabelName, LabelReader, located_elements, overlap, without_elements
from foveal.pipeline.fields.masks import Palette

__all__ = [
    "IMAGE",
    "BoxFormat",
    "Boxes",
    "Classes",
    "Field",
    "Fields",
    "FoundLabel",
    "Frame",
    "ImageBoxes",
    "ImagePoints",
    "InstanceMasks",
    "LabelName",
    "LabelReader",
    "LabelledBoxes",
    "Located",
    "Mask",
    "MemberError",
    "MemberFault",
    "Palette",
    "PointFormat",
    "Points",
    "Saliency",
    "SaliencyKind",
    "SpatialField",
    "WarpedBoxes",
    "alternatives",
    "areas_in_document",
    "called",
    "collate",
    "digest_of",
    "encode_array",
    "field_name",
    "find_member",
    "first_misfit",
    "guide_of",
    "kind_of",
    "kind_of_label",
    "labels_in_document",
    "labels_in_frame",
    "located_elements",
    "map_guide_of",
    "overlap",
    "parse_fields",
    "parse_member",
    "warn_if_absent",
    "warp_labels",
    "without_elements",
    "without_labels",
]
