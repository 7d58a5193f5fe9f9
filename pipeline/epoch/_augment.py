"""Random views of the samples: flips, crops and rotations. They are drawn here and applied by the zoom's grid."""

import math
import random
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler import ZoomNeeds

# As in torchvision: if this many random crops do not fit into the image, the largest central crop is taken.
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Augment:
    """The random views that a loader zooms instead of whole images. By default they are whole images.

    Each image is cropped, the crop may be mirrored, and then it is rotated about its centre. The view is composed with
    the zoom's grid, so the image is sampled only once. A rotated view may reach beyond the image, and shows its border
    there.

    A view depends only on (seed, epoch, sample) and the image's size: not on batch, rank or threads, nor on whether the
    epoch was resumed. Each epoch has other views.

    Args:
        hflip: Probability of mirroring left and right.
        vflip: Probability of mirroring upside down.
        crop_scale: Area of the crop as a share of the image's, drawn evenly between these two, as torchvision's
            ``RandomResizedCrop`` does. None for no crop.
        crop_ratio: Width divided by height of the crop in pixels, drawn evenly between these two on a logarithmic scale.
        rotate_deg: Largest rotation in degrees, in either direction; the angle is drawn evenly.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> loader = ZoomLoader(urls, SaliencySampler(224), batch_size=64, augment=Augment(hflip=0.5, crop_scale=(0.3, 1)))
    """

    hflip: float = 0.0
    vflip: float = 0.0
    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    rotate_deg: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hflip", "vflip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in [0, 1], got {getattr(self, name)!r}.")
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(
                f"crop_scale must be (least, most) in (0, 1], got {self.crop_scale!r} – None for no crop."
            )
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1] < math.inf:
            raise ValueError(f"crop_ratio must be (least, most), positive, got {self.crop_ratio!r}.")
        if not 0 <= self.rotate_deg <= 180:
            raise ValueError(f"rotate_deg must be in [0, 180], got {self.rotate_deg!r}.")

    def view(self, size: tuple[int, int], key: tuple[int, int, int]) -> Float[Tensor, "2 3"]:
        """Return one view.

        Args:
            size: (height, width) of the image in pixels.
            key: Seed, epoch, and the number of the sample.

        Returns:
            float32, as :func:`foveal.sampler.compose` takes it: from [-1, 1] of the view to [-1, 1] of the image.
        """
        draw = random.Random(f"view {key}")  # noqa: S311 - no secret
        left, top, right, bottom = self._crop(size, draw)
        x_half = (right - left) / 2 * (-1 if draw.random() < self.hflip else 1)
        y_half = (bottom - top) / 2 * (-1 if draw.random() < self.vflip else 1)
        angle = math.radians(draw.uniform(-self.rotate_deg, self.rotate_deg))
        cos, sin = math.cos(angle), math.sin(angle)
        rows = (
            (cos * x_half, -sin * y_half, (left + right) / 2, size[1] / 2),
            (sin * x_half, cos * y_half, (top + bottom) / 2, size[0] / 2),
        )
        return torch.tensor(
            [[by_x / half, by_y / half, middle / half - 1] for by_x, by_y, middle, half in rows]
        )

    def _crop(self, size: tuple[int, int], draw: random.Random) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels, not rounded: nothing is cut."""
        height, width = size
        if self.crop_scale is None:
            return 0, 0, width, height
        for _ in range(_TRIES):
            area = height * width * draw.uniform(*self.crop_scale)
            ratio = math.exp(draw.uniform(*map(math.log, self.crop_ratio)))
            across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if across <= width and down <= height:
                left, top = draw.uniform(0, width - across), draw.uniform(0, height - down)
                return left, top, left + across, top + down
        ratio = min(max(width / height, self.crop_ratio[0]), self.crop_ratio[1])
        across, down = min(width, height * ratio), min(height, width / ratio)
        return (width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2


def check_augment(augment: Augment, needs: ZoomNeeds) -> None:
    """Raise if a zoom cannot be augmented.

    Raises:
        TypeError: The zoom's ``forward`` takes no ``views``; or ``augment`` is not an :class:`Augment`.
    """
    if not isinstance(augment, Augment):
        raise TypeError(
            f"augment must be an Augment or None, got {augment!r} – for example Augment(hflip=0.5)."
        )
    if not needs.takes_views:
        raise TypeError(
            f"zoom must take views where augment is given, got {needs.name} – samplers of patches, and a SaliencySampler with "
            "a compat other than 'exact', take none; give the forward of a module of your own a parameter views=None, "
            "(batch, 2, 3), and compose its grid with them (foveal.sampler.compose)."
        )
