"""Files of labels as labelling tools write them: how they are read, and written back."""

from foveal.pipeline.fields.formats._box_file import BoxTable, NewBoxes
from foveal.pipeline.fields.formats._box_format import corners_of, rows_of
from foveal.pipeline.fields.formats._box_source import BOX_MEMBERS, BoxSource, box_source, usual_form
from foveal.pipeline.fields.formats._class_ids import Palette, coding_of, image_of, pairs_of
from foveal.pipeline.fields.formats._columns import LabelName
from foveal.pipeline.fields.formats._json_document import JsonDocument, steps_of
from foveal.pipeline.fields.formats._mask_source import MaskSource, PixelMask, ReadMask, ShapeMask
from foveal.pipeline.fields.formats._numbers import check_rows
from foveal.pipeline.fields.formats._point_source import POINT_MEMBERS, PointSource, point_source
from foveal.pipeline.fields.formats._shapes import Shapes
from foveal.pipeline.fields.formats._source import LabelReader, is_source, name_of, place_of, read_with

__all__ = [
    "BOX_MEMBERS",
    "POINT_MEMBERS",
    "BoxSource",
    "BoxTable",
    "JsonDocument",
    "LabelName",
    "LabelReader",
    "MaskSource",
    "NewBoxes",
    "Palette",
    "PixelMask",
    "PointSource",
    "ReadMask",
    "ShapeMask",
    "Shapes",
    "box_source",
    "check_rows",
    "coding_of",
    "corners_of",
    "image_of",
    "is_source",
    "name_of",
    "pairs_of",
    "place_of",
    "point_source",
    "read_with",
    "rows_of",
    "steps_of",
    "usual_form",
]
