"""What a saliency module is given beside the low-resolution images."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class SaliencyNeeds:
    """What a saliency module asks for, read off its attributes.

    Every saliency module takes (batch, 3, height, width) in [0, 1]. One with an attribute ``boxes_from``, such as
    :class:`BoxSaliency`, is called with a second argument: for each image (n, 4), boxes (x0, y0, x1, y1) as fractions of
    what the image shows.

    Attributes:
        takes_boxes: Whether it has the attribute.
        boxes_from: Its value: which field of a sample the boxes are, None where they are passed by hand.
    """

    takes_boxes: bool
    boxes_from: str | None

    @classmethod
    def of(cls, saliency: nn.Module) -> "SaliencyNeeds":
        """Read off what a module asks for."""
        return cls(hasattr(saliency, "boxes_from"), getattr(saliency, "boxes_from", None))
