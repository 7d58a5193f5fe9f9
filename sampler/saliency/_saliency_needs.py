"""The inputs of a saliency module besides the low-resolution images."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class SaliencyNeeds:
    """What a saliency module needs, read from its attributes.

    Every saliency module takes (batch, 3, height, width) in [0, 1]. One with an attribute ``boxes_from``, such as
    :class:`BoxSaliency`, is called with a second argument: for each image (n, 4), boxes (x0, y0, x1, y1) as fractions of
    the image. One with an attribute ``maps_from``, such as :class:`MapSaliency`, is called with a keyword
    ``maps``: (batch, 1, rows, cols), cells that tile the image, of a size that depends on
    its ``map_size`` alone (:func:`maps_in_views`).

    Attributes:
        takes_boxes: Whether it has the attribute ``boxes_from``.
        boxes_from: Its value: the field of a sample with the boxes; None if they are passed by hand.
        takes_maps: Whether it has the attribute ``maps_from``.
        maps_from: Its value: the field of a sample with the map; None if maps are passed by hand.
        map_size: (rows, cols) of its output, for a module that takes maps.
    """

    takes_boxes: bool
    boxes_from: str | None
    takes_maps: bool = False
    maps_from: str | None = None
    map_size: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, saliency: nn.Module) -> "SaliencyNeeds":
        """Return what a module needs."""
        return cls(
            hasattr(saliency, "boxes_from"),
            getattr(saliency, "boxes_from", None),
            hasattr(saliency, "maps_from"),
            getattr(saliency, "maps_from", None),
            getattr(saliency, "map_size", (1, 1)),
        )
