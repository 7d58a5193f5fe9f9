"""Files of labels as labelling tools write them: how they are read, and written back."""

from foveal.pipeline.fields.formats._box_file import BoxTable, NewBoxes
from foveal.pipeline.fields.formats._box_format import corners_of, rows_of
from foveal.pipeline.fields.formats._box_source import (
    BOX_MEMBERS,
    BoxSource,
    box_source,
    usual_form,
    write_boxes,
)
from foveal.pipeline.fields.formats._columns import LabelName
from foveal.pipeline.fields.formats._json_document import JsonDocument, Slot, steps_of
from foveal.pipeline.fields.formats._json_items import LINES, SHAPE
from foveal.pipeline.fields.formats._numbers import check_rows, numbers
from foveal.pipeline.fields.formats._point_source import POINT_MEMBERS, PointSource, point_source
from foveal.pipeline.fields.formats._source import (
    LabelReader,
    MemberPath,
    is_source,
    member_path,
    name_of,
    overlap,
    read_with,
)
from foveal.pipeline.fields.formats._voc_boxes import located_elements, without_elements
from foveal.pipeline.fields.formats._yolo_lines import yolo_lines

__all__ = [
    "BOX_MEMBERS",
    "LINES",
    "POINT_MEMBERS",
    "SHAPE",
    "BoxSource",
    "BoxTable",
    "JsonDocument",
    "LabelName",
    "LabelReader",
    "MemberPath",
    "NewBoxes",
    "PointSource",
    "Slot",
    "box_source",
    "check_rows",
    "corners_of",
    "is_source",
    "located_elements",
    "member_path",
    "name_of",
    "numbers",
    "overlap",
    "point_source",
    "read_with",
    "rows_of",
    "steps_of",
    "usual_form",
    "without_elements",
    "write_boxes",
    "yolo_lines",
]
