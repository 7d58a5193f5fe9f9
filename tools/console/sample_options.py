"""What options say of a sample: how its pixels and its labels are read. Errors name the options."""

from foveal._choices import Color
from foveal.pipeline import Boxes, Saliency
from foveal.pipeline.decoding import PixelRule, parse_bands, parse_window
from foveal.pipeline.fields import BoxFormat, Frame, LabelName, called


def parse_pixels(window: str | None, bands: str | None, color: Color | None) -> PixelRule:
    """Return the rule by which stored values become grey levels.

    Raises:
        ValueError: A value is malformed.
    """
    return PixelRule(
        None if window is None else parse_window(window), None if bands is None else parse_bands(bands), color
    )


def box_field(
    boxes: str,
    box_format: BoxFormat | None = None,
    box_frame: Frame | None = None,
    box_labels: tuple[LabelName, ...] = (),
) -> Boxes:
    """Return the field of the boxes that ``--boxes`` and the options about them describe.

    Raises:
        ValueError: One of them is invalid.
    """
    with called(source="boxes", format="box_format", frame="box_frame", labels="box_label"):
        return Boxes(boxes, format=box_format, frame=box_frame, labels=box_labels)


def map_field(saliency_member: str) -> Saliency:
    """Return the field of the map that ``--saliency-member`` names.

    Raises:
        ValueError: It can hold no map.
    """
    with called(source="saliency_member"):
        return Saliency(saliency_member)
