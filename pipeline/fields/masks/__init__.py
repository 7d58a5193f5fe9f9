"""Masks of class ids in a sample's members: pictures, arrays, shapes; how they are read, and written back."""

from foveal.pipeline.fields.masks._class_ids import Palette, coding_of, image_of, pairs_of
from foveal.pipeline.fields.masks._mask_source import MaskSource, PixelMask, ReadMask, ShapeMask
from foveal.pipeline.fields.masks._run_lengths import run_lengths
from foveal.pipeline.fields.masks._shapes import Shapes, other_aspect

__all__ = [
    "MaskSource",
    "Palette",
    "PixelMask",
    "ReadMask",
    "ShapeMask",
    "Shapes",
    "coding_of",
    "image_of",
    "other_aspect",
    "pairs_of",
    "run_lengths",
]
