"""The frame of coordinates: pixels of the upright original, or fractions of it; and checks for one given as the other."""

import torch
from torch import Tensor

from foveal._choices import Frame

# Fractions may be rounded, and may overhang the image.
_ROUNDING = 1e-3
_OVERHANG = 1.0
_STEPS = 2**14  # of a pixel: the precision of float32 in the widest images
_FAR = 2**20
# The least extent of a box, in pixels and as a share of the image's: less can vanish where boxes are written with four decimals, or
# with seven as fractions.
_LEAST, _LEAST_SHARE = 2.0**-13, 2.0**-22
_TINY = 2  # pixels: an image so small that fractions would fit it


def in_pixels(coordinates: Tensor, frame: Frame, size: tuple[int, int]) -> Tensor:
    """Return coordinates (n, 2 or 4), x first, in pixels of an image of this (height, width)."""
    return coordinates if frame == "pixel" else coordinates * _extent(coordinates, size)


def in_fractions(coordinates: Tensor, frame: Frame, size: tuple[int, int]) -> Tensor:
    """Return coordinates (n, 2 or 4), x first, as fractions of an image of this (height, width)."""
    return coordinates if frame == "fraction" else coordinates / _extent(coordinates, size)


def wrong_frame(name: str, coordinates: Tensor, frame: Frame, size: tuple[int, int]) -> str | None:
    """Return why coordinates cannot be of this frame; None if they can.

    If all of them are in [0, 1] and not all are whole, they are fractions: in pixels, everything would lie in the corner.

    Args:
        name: Their name in messages.
        coordinates: (n, 2 or 4); NaN for points that are absent.
        frame: The frame that was given.
        size: The (height, width) of the image in pixels.
    """
    known = coordinates[~coordinates.isnan().any(dim=1)]
    if frame == "fraction":
        outside = ((known < -_OVERHANG) | (known > 1 + _OVERHANG)).any(dim=1)
        if outside.any():
            row = known[outside][0].tolist()
            return f'{name} is beyond fractions of the image, and frame="pixel" is for pixels: one is {row}'
        return None
    within = ((known >= -_ROUNDING) & (known <= 1 + _ROUNDING)).all()
    if len(known) and within and max(size) > _TINY and not torch.equal(known, known.round()):
        return f'{name} can only be fractions of the image, and needs frame="fraction": one is {known[0].tolist()}'
    return None


def wrong_size(name: str, stated: tuple[int, int] | None, frame: Frame, size: tuple[int, int]) -> str | None:
    """Return an error if a label file states another (height, width) in pixels; None if it does not, or states none."""
    if frame == "fraction" or stated is None or stated == size:
        return None
    (rows, cols), (height, width) = stated, size
    return (
        f"{name} is of an image of another size: {rows} × {cols}, and this one has {height} × {width} pixels "
        "(height × width)"
    )


def settled(coordinates: Tensor) -> Tensor:
    """Return coordinates without the rounding errors of float32 grids: whole pixels stay whole if nothing is zoomed."""
    return torch.where(coordinates.abs() < _FAR, (coordinates * _STEPS).round() / _STEPS, coordinates)


def have_extent(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which boxes (n, 4) of (x0, y0, x1, y1) in pixels keep a width and a height in an image of this (height, width), rounded or not."""
    least = (_LEAST_SHARE * boxes.new_tensor(size[::-1])).clamp(min=_LEAST)
    return (boxes[:, 2:] - boxes[:, :2] >= least).all(dim=1)


def _extent(coordinates: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    return coordinates.new_tensor([width, height] * (coordinates.shape[1] // 2))
