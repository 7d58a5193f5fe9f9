"""Samples with boxes, points and a mask, and the fields that read them."""

import numpy as np

from foveal.pipeline import Boxes, Mask, Points
from tests.pipeline.making import encode, picture

BOXES, POINTS, MASK = Boxes("json:boxes"), Points("json:face.points"), Mask("mask.png")
FIELDS = ("image", BOXES, POINTS, MASK, "__grid__", "__size__", "__key__", "__valid__")


def labelled(k: int, **other) -> dict:
    """Return a sample with k boxes, k + 1 points (none for k = 0), and a mask of half the resolution."""
    height, width = 60 + 8 * k, 90 + 6 * k
    random = np.random.default_rng(k)
    ends = random.uniform(-5, 1, (k, 2, 2)) + random.uniform(0, 1, (k, 2, 2)) * (width, height)
    points = random.uniform(0, 1, (k + 1 if k else 0, 2)) * (width, height)
    boxes = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)
    return {
        "__key__": f"{k:03d}",
        "jpg": encode(picture(k, height, width)),
        "json": {"boxes": boxes.tolist(), "face": {"points": points.tolist()}},
        "mask.png": encode(random.integers(0, 5, (height // 2, width // 2), dtype=np.uint8), "PNG"),
        **other,
    }
