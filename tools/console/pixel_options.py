"""What a command line says of pixels: window, bands and colour."""

from foveal._choices import Color
from foveal.pipeline.decode import PixelRule, parse_bands, parse_window


def parse_pixels(window: str | None, bands: str | None, color: Color | None) -> PixelRule:
    """Return the rule by which stored samples become grey levels.

    Raises:
        ValueError: One of them makes no sense.
    """
    return PixelRule(
        None if window is None else parse_window(window), None if bands is None else parse_bands(bands), color
    )
