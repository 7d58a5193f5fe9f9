"""Masks as a field of the loader."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from foveal.pipeline.decode import DecodeError, class_ids_with_pillow
from foveal.pipeline.fields._members import MemberError, alternatives, find_member
from foveal.pipeline.fields._spatial_field import SpatialField
from foveal.pipeline.flow import to_device
from foveal.sampler import warp_masks


@dataclass(frozen=True, slots=True)
class Mask(SpatialField):
    """A mask of class ids that follows the zoom, given among the ``fields`` of a :class:`ZoomLoader`.

    In the shard: an image that covers the upright original (after EXIF orientation; its own is followed, too), at the
    same resolution or another of the same aspect. Its ids are the indices of a palette PNG, else its grey values as they
    are stored: 0 and 1 of a 1-bit PNG, up to 65535 of a 16-bit one. RGB counts where all pixels are grey.

    In the batch: (batch, height, width) int64, the id of the pixel that each point of the grid lies in: none is invented.

    Attributes:
        source: The member that it is in, such as ``"mask.png"``.

    Raises:
        ValueError: ``source`` is nothing of the kind.

    Example:
        >>> loader = ZoomLoader("roads.tar", zoom, batch_size=64, fields=("image", Mask("crack.png")))
        >>> images, cracks = next(iter(loader))  # (64, 3, 224, 224) and (64, 224, 224)
    """

    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or ":" in self.source or not all(alternatives(self.source)):
            raise ValueError(f"source must be a member such as 'mask.png', got {self.source!r}.")

    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Tensor:
        """Return a sample's mask (height, width), uint8 or int32."""
        extension = find_member(self._extensions, members)
        try:
            return class_ids_with_pillow(members[extension], max_pixels=max_pixels)
        except DecodeError as error:
            too_large = error.kind == "too_large"
            raise MemberError(
                f"{extension} {error.reason}", "too_large" if too_large else "bad_label"
            ) from error

    @property
    def _extensions(self) -> tuple[str, ...]:
        return alternatives(self.source)

    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Say no: a mask that is missing makes a bad sample."""
        del members
        return False

    def misfit(self, label: Tensor, size: tuple[int, int]) -> str | None:
        """Refuse another aspect than the image's; rounding to whole pixels may have changed it by less than one."""
        (rows, cols), (height, width) = label.shape, size
        if abs(rows * width - cols * height) < max(height, width):
            return None
        shapes = f"{rows} × {cols} on {height} × {width} pixels (height × width)"
        return f"{self.source} has another shape than the image: {shapes}"

    def warp(
        self,
        labels: Sequence[Tensor],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> Tensor:
        """Return the masks of the zoomed images."""
        del sizes, views  # a mask covers its image at whatever resolution, and the grid has the views in it
        near = grid.cpu()  # rather than all of a mask's pixels to where the grid is
        seen = [warp_masks([label], near[k : k + 1]).long() for k, label in enumerate(labels)]
        return to_device(torch.cat([warp_masks([], near[:0]), *seen]), grid.device)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return one tensor for the batch."""
        return torch.cat(list(parts))

    def of_sample(self, value: Tensor, index: int) -> Tensor:
        """Return the mask of one image."""
        return value[index].cpu()

    def write(self, members: Mapping[str, bytes], label: Tensor, size: tuple[int, int]) -> dict[str, bytes]:
        """Return the member as a grey PNG of these class ids."""
        del size
        return {find_member(self._extensions, members): _encode(label.numpy())}


def _encode(ids: Int[np.ndarray, "height width"]) -> bytes:
    """Return a grey PNG of class ids: 8 bits if they suffice, else 16. Equal ids give equal bytes.

    Raises:
        ValueError: An id needs more than 16 bits.
    """
    most = ids.max(initial=0)
    if most > 65535:
        raise ValueError(f"class ids must be at most 65535 in a PNG, got {int(most)}.")
    buffer = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8 if most < 256 else np.uint16)).save(buffer, format="PNG")
    return buffer.getvalue()
