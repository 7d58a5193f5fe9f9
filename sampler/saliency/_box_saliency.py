"""Saliency from known boxes: those of the last frame, of a cheap detector, or the labels themselves."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import rows_and_cols


class BoxSaliency(nn.Module):
    """Logits of a kernel density of boxes (Thavamani et al., FOVEA, ICCV 2021, section 3.2).

    Each box adds a Gaussian of mass ``amplitude`` about its centre, with variance ``bandwidth`` times the box's width along
    x, and ``bandwidth`` times its height along y, and an even floor of mass 1. The map is scaled to a sum of one, and its
    logarithm is returned. So the rest of the image keeps ``1 / (1 + amplitude)`` of the saliency, however many boxes there
    are: 30 % by default. An image without boxes has an even map and is not zoomed.

    Two things differ from the published code. There, a Gaussian narrower than a cell may fall between the nodes; here half
    a cell is added to each standard deviation's square. There, boxes are measured in pixels; here in shares of the image's
    sides, whatever its resolution.

    Boxes come with each batch: ``zoom(images, boxes=[...])``. They are clipped to the image, or to the view if there are
    views; boxes outside of it are ignored.

    Args:
        boxes_from: The field of a loader's samples with the boxes, such as ``"json:boxes"``. None if they are passed by
            hand.
        map_size: (rows, cols) of the map, or one number for both.
        amplitude: Mass of each box's Gaussian, relative to the floor that is added with it. The published code has a
            floor of
            ``1 / (2 p + 1)^2`` a cell, p being one less than the map's shorter side: its amplitude is 1 where ours is
            ``(2 p + 1)^2 / (rows * cols)``, which is 2.35 for its map of 31 x 51.
        bandwidth: As a share of the image's side, or two of them, of its height and width. With 0.04, a box of a quarter
            of the width has a standard deviation of a tenth of the width, that is the square root of 0.04 * 0.25.
            Published is 64 pixels of 1920 by 1200: (64 / 1200, 64 / 1920).

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> zoom = SaliencySampler(224, saliency=BoxSaliency())
        >>> image = torch.zeros(1, 3, 480, 640)
        >>> zoom(image, boxes=[torch.tensor([[0.1, 0.2, 0.3, 0.4]])]).images.shape
        torch.Size([1, 3, 224, 224])
    """

    def __init__(
        self,
        boxes_from: str | None = None,
        map_size: int | tuple[int, int] = (31, 31),
        *,
        amplitude: float = 7 / 3,
        bandwidth: float | tuple[float, float] = 0.04,
    ) -> None:
        super().__init__()
        pair = bandwidth if isinstance(bandwidth, list | tuple) else (bandwidth, bandwidth)
        if len(pair) != 2:
            raise ValueError(f"bandwidth must be one number, or (height, width), got {bandwidth!r}.")
        for name, value, all_of_it in (
            ("amplitude", amplitude, (amplitude,)),
            ("bandwidth", bandwidth, pair),
        ):
            if not all(0 < each < math.inf for each in all_of_it):
                raise ValueError(f"{name} must be positive and finite, got {value!r}.")
        self.boxes_from = boxes_from
        self.map_size = rows_and_cols(map_size)
        self.amplitude = float(amplitude)
        self._bandwidths = float(pair[0]), float(pair[1])
        self.bandwidth = self._bandwidths if isinstance(bandwidth, list | tuple) else self._bandwidths[0]

    def forward(
        self,
        small: Float[Tensor, "batch channel height width"],
        boxes: Sequence[Float[Tensor, "_count 4"]] | None = None,
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return log density, one number per cell of the map; the exponentials sum to one.

        Args:
            small: Only its batch size and device are used.
            boxes: For each image (n, 4), (x0, y0, x1, y1) as fractions of what ``small`` shows. n may be zero.

        Raises:
            ValueError: There are no boxes, or not as many lists as images.
        """
        if boxes is None or len(boxes) != len(small):
            raise ValueError(
                f"boxes must be a list of {len(small)} tensors, one for each image, got "
                f"{boxes if boxes is None else len(boxes)!r} – call the sampler with boxes=[...]."
            )
        with torch.autocast(small.device.type, enabled=False):
            maps = [self._density(each.to(small.device)) for each in boxes]
        rows, cols = self.map_size
        return torch.stack(maps)[:, None] if maps else small.new_empty(0, 1, rows, cols)

    def _density(self, boxes: Float[Tensor, "count 4"]) -> Float[Tensor, "rows cols"]:
        rows, cols = self.map_size
        low, high = boxes[:, :2], boxes[:, 2:]
        # Weights rather than a choice: in an exported graph, counts stay open.
        shown = ((high > 0) & (low < 1)).all(dim=1)[:, None].float()
        low, high = (corner.float().clamp(0, 1) for corner in (low, high))
        of_height, of_width = self._bandwidths
        across = _kernel(low[:, 0], high[:, 0], cols, of_width)
        down = _kernel(low[:, 1], high[:, 1], rows, of_height)
        count = shown.sum()
        kernels = count.clamp(min=1)  # without a box, the floor alone
        density = kernels / (rows * cols) + self.amplitude * ((shown * down).T @ across)
        return (density / (kernels + self.amplitude * count)).log()


def _kernel(
    low: Float[Tensor, " count"], high: Float[Tensor, " count"], nodes: int, bandwidth: float
) -> Float[Tensor, "count nodes"]:
    """Each box's Gaussian along one axis, at the nodes, with a sum of one."""
    cell = 1 / max(nodes - 1, 1)
    variance = bandwidth * (high - low) + (cell / 2) ** 2
    place = torch.linspace(0, 1, nodes, device=low.device)
    off = place - (low + high)[:, None] / 2
    return (-0.5 * off.square() / variance[:, None]).softmax(dim=1)
