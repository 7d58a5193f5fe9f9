"""A zoom whose saliency network is known weight by weight, its teacher, and the formula of the lesson in NumPy."""

import numpy as np
import torch
from torch import nn

from foveal.sampler import EvidenceTeacher, FixedSaliency, PriorSaliency, SaliencySampler

ROWS, COLS, SIZE = 9, 11, 24


class Drawn(nn.Module):
    """A saliency network whose logits are its weights, whatever it sees."""

    def __init__(self, count: int) -> None:
        super().__init__()
        noise = torch.randn(count, 1, ROWS, COLS, generator=torch.Generator().manual_seed(0))
        self.logits = nn.Parameter(noise)

        self.begin = 0

    def forward(self, small: torch.Tensor) -> torch.Tensor:
        return self.logits[self.begin : self.begin + len(small)] * 1.0


def taught(count=2, gain=2.0, **how):
    """Return a zoom with such a network, and its teacher."""
    saliency = PriorSaliency(Drawn(count), FixedSaliency(torch.ones(ROWS, COLS)), gain=gain)
    zoom = SaliencySampler(SIZE, saliency=saliency)
    return zoom, EvidenceTeacher(zoom, **how)


def hot(*places, count=2):
    """Return a gradient that is large in squares of 2 x 2 pixels around these (row, col), in all images alike."""
    gradient = torch.full((count, 3, SIZE, SIZE), 1e-4)
    for row, col in places:
        gradient[:, :, row : row + 2, col : col + 2] = -1.0
    return gradient


def losses_of(images, gradient, values):
    """Return losses with these values and this gradient by the images."""
    found = (images * gradient).flatten(1).sum(1)
    return found - found.detach() + torch.as_tensor(values)


def lesson(zoom, teacher, gradient, values, *, images=None, **how):
    """Return what the teacher adds to the derivative of the mean loss by the network's logits."""
    zoomed = zoom(torch.rand(len(gradient), 3, 60, 80) if images is None else images, **how)
    losses = losses_of(zoomed.images, gradient, values)
    logits = zoom.saliency.network.logits
    without = torch.autograd.grad(losses.mean(), logits, retain_graph=True)[0]
    teacher.observe(losses)
    return torch.autograd.grad(losses.mean(), logits)[0] - without, zoomed.grid.detach()


def aim(points):
    """Return the map that is taught for evidence of equal strength at points (x, y) in [-1, 1], in float64."""
    x, y = np.linspace(-1, 1, COLS), np.linspace(-1, 1, ROWS)
    drawn = sum(
        np.outer(np.exp(-0.5 * ((y - v) / 0.12) ** 2), np.exp(-0.5 * ((x - u) / 0.12) ** 2))
        for u, v in points
    )
    return 6 / 7 * drawn / drawn.sum() + 1 / 7 / (ROWS * COLS)


def by_hand(logits, points, gain=2.0):
    """Return the gradient of the divergence of the network's map from what is taught, by its logits, in float64."""
    told = np.exp(gain * logits.astype(np.float64))
    return gain * (told / told.sum() - aim(points))


def middle(grid, row, col):
    """Return the middle of 2 x 2 pixels of a grid."""
    return grid[row : row + 2, col : col + 2].double().mean((0, 1)).numpy()
