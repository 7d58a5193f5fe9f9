"""Decoded images as they are passed to a zoom: some are smaller copies of their originals, some have 16 bits."""

from foveal.pipeline.copies._copies import Copies

__all__ = ["Copies"]
