"""Options on how pixels are read: window, bands and colour."""

from foveal._choices import Color
from foveal.pipeline.decoding import PixelRule, parse_bands, parse_window


def parse_pixels(window: str | None, bands: str | None, color: Color | None) -> PixelRule:
    """Return the rule by which stored values become grey levels.

    Raises:
        ValueError: A value is malformed.
    """
    return PixelRule(
        None if window is None else parse_window(window), None if bands is None else parse_bands(bands), color
    )
