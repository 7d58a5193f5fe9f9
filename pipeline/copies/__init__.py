"""Decoded images as a zoom is given them: some are smaller copies of their originals, some have 16 bits."""

from foveal.pipeline.copies._copies import Copies

__all__ = ["Copies"]
