"""Zooming smaller copies as if they were the originals: grids, views and boxes stay in the original's frame."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from foveal.pipeline.decoding import EncodedImage, frame_of, trimmed
from foveal.pipeline.flow import to_device
from foveal.sampler import Zoomed, compose, lowres
from foveal.sampler.sampling import are_deep, halves, joined


class Copies:
    """Decoded images, some of which are smaller copies.

    Args:
        encoded: The encoded images that they were decoded from; None for those that are not copies.
        images: Upright, (height, width, 3).
        views: (batch, 2, 3), from [-1, 1] of the view to [-1, 1] of each original; None for whole originals.
        takes_views: Whether the zoom takes views, by which it can be told where the original lies in a copy. If not, the
            frame of a copy is right to within half a pixel.
        takes_deep: Whether the zoom takes images of 16 bits. If not, it is called for their upper and for their lower bytes.
    """

    def __init__(
        self,
        encoded: Sequence[EncodedImage | None],
        images: Sequence[Tensor],
        views: Tensor | None = None,
        *,
        takes_views: bool,
        takes_deep: bool = False,
    ) -> None:
        pairs = list(zip(encoded, images, strict=True))
        self._rounded = [pixels if image is None else trimmed(pixels, image) for image, pixels in pairs]
        self._frames = _frames(encoded) if takes_views else None
        self._views, self._takes_deep = views, takes_deep
        self.images = self._rounded if self._frames is None else list(images)
        if self._frames is not None and images:
            self._frames = to_device(self._frames, images[0].device)

    @property
    def device(self) -> torch.device:
        """The device of the images; the CPU if there are none."""
        return self.images[0].device if self.images else torch.device("cpu")

    def look(self, size: tuple[int, int] | None) -> Tensor | None:
        """Return the low-resolution copies for the saliency network; None if the zoom needs none."""
        if size is None:
            return None
        images, views = (self._rounded, None) if self._views is None else (self.images, self._shown())
        return lowres(images, size, views)

    def zoom(
        self,
        zoom: Callable[..., Zoomed],
        small: Tensor | None,
        *,
        boxes: Sequence[Tensor] | None = None,
        maps: Sequence[Tensor] | None = None,
        condition: Sequence[Any] | None = None,
    ) -> Zoomed:
        """Zoom, and return the grid in the originals' frame.

        Args:
            zoom: The sampler.
            small: What :meth:`look` returned.
            boxes: For each image (n, 4) as fractions of the original; None if the zoom needs none.
            maps: For each image (rows, cols), cells that tile the original; None if the zoom needs none.
            condition: Fields of these images that the zoom needs, each as in a batch; None if it needs none.

        Raises:
            TypeError: The zoom returns something else than three tensors with the names of :class:`Zoomed`.
            ValueError: Images have 16 bits, which the zoom does not take, and it returns different grids for the same low-resolution copies.
        """
        asides: dict[str, Any] = {}
        if (shown := self._shown()) is not None:
            asides["views"] = shown
        if boxes is not None:
            asides["boxes"] = boxes if self._frames is None else _boxes_in(self._frames, boxes)
        if maps is not None:
            # The frames of copy and original agree to within a pixel, which is less than any cell.
            asides["maps"] = maps
        if condition is not None:
            asides["condition"] = condition
        in_halves = not self._takes_deep and are_deep(self.images)
        found = (_zoom_halves if in_halves else _zoom)(zoom, self.images, small, asides)
        return found if self._frames is None else found._replace(grid=_out_of(self._frames, found.grid))

    def _shown(self) -> Tensor | None:
        """Return the views in the frames of the copies."""
        if self._frames is None:
            return self._views
        if self._views is None:
            return self._frames.float()
        factors, summands = _parts(self._frames)
        shown = self._views.double() * factors[..., None]
        shown[..., 2] += summands
        return shown.to(self._views.dtype)


def _zoom(
    zoom: Callable[..., Zoomed], images: Sequence[Tensor], small: Tensor | None, asides: dict[str, Any]
) -> Zoomed:
    found = zoom(images, small, **asides)
    if not all(isinstance(getattr(found, name, None), Tensor) for name in Zoomed._fields):
        raise TypeError(
            f"zoom must return Zoomed(images, grid, saliency), three tensors, got {type(found).__name__} from {type(zoom).__name__}."
        )
    return found


def _zoom_halves(
    zoom: Callable[..., Zoomed], images: Sequence[Tensor], small: Tensor | None, asides: dict[str, Any]
) -> Zoomed:
    high, low = (_zoom(zoom, half, small, asides) for half in halves(images))
    if not torch.allclose(high.grid, low.grid, rtol=0, atol=0, equal_nan=True):
        raise ValueError(
            "bits must be 8 for a zoom that draws at random, or looks at its images themselves instead of lowres, got 16 – "
            "put it in eval mode, or say takes_deep = True if it takes uint16."
        )
    return high._replace(images=joined(high.images, low.images))


def _frames(encoded: Sequence[EncodedImage | None]) -> Tensor | None:
    """Return the frames of all copies; None if each equals its original's frame."""
    frames = [None if image is None else frame_of(image) for image in encoded]
    if all(frame is None for frame in frames):
        return None
    whole = torch.eye(2, 3, dtype=torch.float64)
    return torch.stack([whole if frame is None else frame for frame in frames])


def _parts(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return factors and summands, (batch, 2) each, of (x, y)."""
    return frames[:, [0, 1], [0, 1]], frames[:, :, 2]


def _out_of(frames: Tensor, grid: Tensor) -> Tensor:
    """Convert points from the frames of the copies to those of the originals, a row at a time: loops over x and y alone are slow."""
    places, width = [1] * (grid.ndim - 3), grid.shape[-2]
    factors, summands = (part.to(grid.dtype).repeat(1, width) for part in _parts(frames))
    rows = [part.view(-1, *places, 2 * width) for part in (factors, summands)]
    return ((grid.flatten(-2) - rows[1]) / rows[0]).view(grid.shape)


def _boxes_in(frames: Tensor, boxes: Sequence[Tensor]) -> list[Tensor]:
    """Convert boxes from fractions of the originals to fractions of the copies."""
    inside = []
    for frame, some in zip(frames, boxes, strict=True):
        corners = compose(frame[None].to(some), 2 * some.reshape(1, -1, 2) - 1)
        inside.append(((corners + 1) / 2).reshape(some.shape))
    return inside
