"""A classifier that teaches its zoom, compared with the formula in NumPy."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    EvidenceTeacher,
    FixedSaliency,
    PriorSaliency,
    SaliencySampler,
    UniformSampler,
    compose,
    zoom_grid,
)
from tests.checks import check_close, unhooked
from tests.strategies import softmax_map

ROWS, COLS, SIZE = 9, 11, 24


class Drawn(nn.Module):
    """A saliency network whose logits are its weights, whatever it sees."""

    def __init__(self, count: int) -> None:
        super().__init__()
        noise = torch.randn(count, 1, ROWS, COLS, generator=torch.Generator().manual_seed(0))
        self.logits = nn.Parameter(noise)

    def forward(self, small: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(small)] * 1.0


def taught(count=2, gain=2.0):
    """Return a zoom with such a network, and what has been zoomed with it."""
    zoom = SaliencySampler(
        SIZE, saliency=PriorSaliency(Drawn(count), FixedSaliency(torch.ones(ROWS, COLS)), gain=gain)
    )
    teacher = EvidenceTeacher(zoom)
    return zoom, teacher, zoom(torch.rand(count, 3, 60, 80))


def hot(*places, count=2):
    """Return a gradient that is large in squares of 2 x 2 pixels around these (row, col), in all images alike."""
    gradient = torch.full((count, 3, SIZE, SIZE), 1e-4)
    for row, col in places:
        gradient[:, :, row : row + 2, col : col + 2] = -1.0
    return gradient


def aim(points):
    """Return the map that is taught for evidence of equal strength at points (x, y) in [-1, 1], in float64."""
    x, y = np.linspace(-1, 1, COLS), np.linspace(-1, 1, ROWS)
    drawn = sum(
        np.outer(np.exp(-0.5 * ((y - v) / 0.12) ** 2), np.exp(-0.5 * ((x - u) / 0.12) ** 2))
        for u, v in points
    )
    return 6 / 7 * drawn / drawn.sum() + 1 / 7 / (ROWS * COLS)


def test_the_lesson_by_hand():
    """The loss is the divergence of the network's own map from Gaussians around the evidence, weighted by how sure the classifier is."""
    zoom, teacher, (_, grid, _) = taught()
    losses = torch.tensor([0.1, 2.0])
    found = teacher.lesson(hot((4, 6), (16, 10)), grid.detach(), losses)

    by_hand = []
    for k in range(2):
        logits = 2.0 * zoom.saliency.network.logits[k, 0].detach().double().numpy()
        told = np.exp(logits) / np.exp(logits).sum()
        nodes = grid[k].detach().double().numpy()
        places = [nodes[r : r + 2, c : c + 2].mean((0, 1)) for r, c in ((4, 6), (16, 10))]
        wanted = aim(places)
        by_hand.append(np.exp(-float(losses[k])) * (wanted * np.log(wanted / told)).sum())
    check_close(found, np.mean(by_hand), 1e-5)


def test_weak_gradients_and_scales_do_not_matter():
    """Gradients below half of the strongest do not count, and neither does the scale of all."""
    lessons = []
    for factor, weak in ((1.0, 0.0), (1e-6, 0.0), (1.0, 0.4)):
        _, teacher, (_, grid, _) = taught()
        gradient = hot((4, 6))
        gradient[:, :, 20:22, 20:22] = weak
        lessons.append(float(teacher.lesson(factor * gradient, grid.detach(), torch.zeros(2)).detach()))

    check_close(torch.tensor(lessons[1:]), [lessons[0]] * 2, 1e-5)


def test_the_network_learns_where_the_evidence_is():
    """Descent moves the network's map to the places in the source that the pixels came from, and the prior learns nothing."""
    zoom, teacher, _ = taught()
    image, optimizer = torch.rand(2, 3, 60, 80), torch.optim.Adam(zoom.parameters(), lr=0.3)
    grid = zoom_grid(softmax_map(ROWS, COLS, contrast=1.0).expand(2, -1, -1, -1), SIZE)
    for _ in range(200):
        zoom(image)
        loss = teacher.lesson(hot((6, 14)), grid, torch.zeros(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = grid[0, 6:8, 14:16].mean((0, 1)).tolist()
    logits = 2.0 * zoom.saliency.network.logits[0, 0].detach()

    check_close(logits.flatten().softmax(0).view(ROWS, COLS), aim([(x, y)]), 1e-3)
    assert loss < 1e-4


def test_in_the_frame_of_the_view():
    """With views the evidence is brought back to the view, which the saliency is computed for, not to the source."""
    view = torch.tensor([[[-1.0, 0, 0], [0, 0.5, 0.25]]]).expand(2, -1, -1)
    lessons = []
    for views in (None, view):
        _, teacher, (_, grid, _) = taught()
        seen = grid.detach() if views is None else compose(views, grid.detach())
        lessons.append(float(teacher.lesson(hot((3, 5)), seen, torch.zeros(2), views=views).detach()))

    check_close(lessons[1], lessons[0], 1e-5)


@pytest.mark.parametrize(("losses", "gradient"), [(50.0, 1.0), (0.0, 0.0)])
def test_who_knows_nothing_teaches_nothing(losses, gradient):
    """A classifier that is not sure at all changes no weight; without any gradient an even map is taught."""
    zoom, teacher, (_, grid, _) = taught()
    teacher.lesson(gradient * hot((4, 6)), grid.detach(), torch.full((2,), losses)).backward()
    slope = zoom.saliency.network.logits.grad
    logits = 2.0 * zoom.saliency.network.logits.detach().flatten(1)
    expected = (logits.softmax(1) - 1 / (ROWS * COLS)).view(slope.shape) * (0.0 if losses else 1.0)

    check_close(slope, expected, 1e-6)


def test_micro_batches_and_earlier_images():
    """What was zoomed in parts, or before, or in evaluation is not mixed up: the last images count, in their order."""
    zoom, teacher, _ = taught(count=3)
    image, gradient = torch.rand(3, 3, 60, 80), hot((4, 6), count=3)
    grid = zoom(image).grid.detach()
    whole = teacher.lesson(gradient, grid, torch.zeros(3)).detach()
    zoom(image[:1])  # a batch that was thrown away
    zoom(image)
    zoom.eval()
    zoom(image)
    with torch.no_grad():
        zoom.train()(image)

    check_close(teacher.lesson(gradient, grid, torch.zeros(3)).detach(), whole, 1e-6)


@pytest.mark.parametrize(
    "zoom",
    [
        UniformSampler(8),
        SaliencySampler(8, saliency=FixedSaliency(torch.ones(3, 3))),
        SaliencySampler(8).requires_grad_(requires_grad=False),
    ],
)
def test_what_cannot_be_taught(zoom):
    """A zoom without a network to teach is refused."""
    with (
        unhooked(),
        pytest.raises(
            ValueError, match=r"^zoom must have one PriorSaliency with a network that is trained, got 0 of "
        ),
    ):
        EvidenceTeacher(zoom)


def test_a_teacher_that_saw_nothing():
    """Losses of images that the teacher did not see zoomed are refused; after close() it listens no longer."""
    zoom, teacher, (_, grid, _) = taught()
    teacher.lesson(hot((4, 6)), grid.detach(), torch.zeros(2))
    with pytest.raises(
        ValueError,
        match=re.escape(
            "losses must be those of images that were zoomed in training mode since the last call, 0 at most, got 2"
        ),
    ):
        teacher.lesson(hot((4, 6)), grid.detach(), torch.zeros(2))
    teacher.close()
    zoom(torch.rand(2, 3, 60, 80))
    with pytest.raises(ValueError, match="0 at most"):
        teacher.lesson(hot((4, 6)), grid.detach(), torch.zeros(2))
