"""The frame of a network's map, which is saved with its weights."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from foveal.sampler.frames import Frame
from foveal.sampler.saliency._edge_conv import edge_padded

# torch stores a module's version with its weights. Files from before there were frames have version 1.
_FRAMES: dict[int, Frame] = {1: "cells", 2: "nodes"}
_VERSIONS = {frame: version for version, frame in _FRAMES.items()}


class FramedMap(nn.Module):
    """A saliency module whose map is on the nodes of a lattice, or, as in earlier versions, in cells.

    :class:`SaliencySampler` reads any map on the nodes of a lattice. Weights that were trained with a map in cells, which
    was read on nodes, keep this shift: a ``state_dict`` says which frame its weights are for, and loading it changes the
    module's frame. A plain dict without torch's metadata does not change the frame.

    Args:
        frame: ``"nodes"`` or ``"cells"``.

    Raises:
        ValueError: The frame is neither.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._version = _version(frame)

    @property
    def frame(self) -> Frame:
        """``"nodes"``: cell (i, j) of the map lies at (i / (rows - 1), j / (cols - 1)); ``"cells"``: at the middle of a cell."""
        return _FRAMES[self._version]

    @frame.setter
    def frame(self, frame: Frame) -> None:
        if frame != self.frame:
            self._version = _version(frame)
            self._fit_frame()

    def _fit_frame(self) -> None:
        """Change the parts of the module that depend on the frame, before weights are loaded."""

    def _frame_of(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any]
    ) -> Frame:
        """Return the frame of weights."""
        del state_dict, prefix
        return _FRAMES.get(local_metadata.get("version", 0), self.frame)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *others: Any
    ) -> None:
        self.frame = self._frame_of(state_dict, prefix, local_metadata)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def _version(frame: Frame) -> int:
    if frame not in _VERSIONS:
        raise ValueError(f"frame must be one of {tuple(_VERSIONS)!r}, got {frame!r}.")
    return _VERSIONS[frame]


def at_corners(
    small: Float[Tensor, "batch channel _height _width"],
) -> Float[Tensor, "batch channel height width"]:
    """Return an image at the corners of its pixels, which lie on its edges: it has one more row and column.

    Each corner is the mean of the four pixels that meet there; beyond the edges the border's pixels go on. The windows of
    a convolution with an odd kernel and a stride that divides the sides are then centred from edge to edge at equal
    distances: its outputs are the nodes of a lattice.
    """
    corners: Tensor = avg_pool2d(edge_padded(small, 1), kernel_size=2, stride=1)
    return corners


def in_multiples(
    small: Float[Tensor, "batch channel _height _width"], of: int
) -> Float[Tensor, "batch channel height width"]:
    """Return an image whose sides are multiples of this many pixels; it is resized to the next ones if necessary."""
    sides = [-(-side // of) * of for side in small.shape[2:]]
    if sides == list(small.shape[2:]):
        return small
    resized: Tensor = interpolate(small, sides, mode="bilinear", align_corners=False)
    return resized
