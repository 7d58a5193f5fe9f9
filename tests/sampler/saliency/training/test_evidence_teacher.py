"""A classifier that teaches its zoom, compared with the formula in NumPy."""

import copy

import numpy as np
import pytest
import torch

from foveal.sampler import (
    EvidenceTeacher,
    ZoomTrial,
    compose,
)
from tests.checks import check_close
from tests.sampler.saliency.training.taught import (
    COLS,
    ROWS,
    aim,
    by_hand,
    hot,
    lesson,
    losses_of,
    middle,
    taught,
)


@pytest.mark.parametrize(("strength", "temperature"), [(1.0, 1.0), (0.25, 1.0), (1.0, 0.5)])
def test_the_lesson_by_hand(strength, temperature):
    """The second term is the divergence of the network's map from Gaussians around the evidence, weighted by how sure the classifier is."""
    zoom, teacher = taught(strength=strength)
    zoom.temperature = temperature
    values = torch.tensor([0.1, 2.0])
    found, grid = lesson(zoom, teacher, hot((4, 6), (16, 10)), values)

    for k in range(2):
        logits = zoom.saliency.network.logits[k, 0].detach().numpy()
        points = [middle(grid[k], 4, 6), middle(grid[k], 16, 10)]
        slope = by_hand(logits, points, gain=2.0 / temperature)
        check_close(found[k, 0], strength * np.exp(-float(values[k])) / 2 * slope, 1e-5)


def test_weak_gradients_do_not_matter():
    """Gradients below half of the strongest do not count."""
    found = []
    for weak in (1e-4, 0.4):
        zoom, teacher = taught()
        gradient = hot((4, 6))
        gradient[:, :, 20:22, 20:22] = weak
        found.append(lesson(zoom, teacher, gradient, [0.0, 0.0], images=torch.ones(2, 3, 60, 80))[0])

    check_close(found[1], found[0], 1e-6)


def test_the_network_learns_where_the_evidence_is():
    """Descent moves the network's map to the place in the source that the pixels came from, and the prior learns nothing."""
    zoom, teacher = taught(strength=100.0)
    zoom.max_zoom = 1.0  # an even zoom, so that the place stays where it is
    image, optimizer = torch.ones(2, 3, 60, 80), torch.optim.Adam(zoom.parameters(), lr=0.1)
    for _ in range(300):
        zoomed = zoom(image)
        losses = losses_of(zoomed.images, hot((6, 14)), [0.0, 0.0])
        teacher.observe(losses)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    logits = 2.0 * zoom.saliency.network.logits[0, 0].detach()
    taken = logits.flatten().softmax(0).view(ROWS, COLS)

    check_close(taken, aim([middle(zoomed.grid.detach()[0], 6, 14)]), 1e-3)


@pytest.mark.parametrize("by_name", [False, True])
def test_in_the_frame_of_the_view(by_name):
    """With views the evidence is brought back to the view, which the saliency is computed for, not to the source."""
    view = torch.tensor([[[-1.0, 0, 0], [0, 0.5, 0.25]]]).expand(2, -1, -1)
    zoom, teacher = taught()
    image = torch.ones(2, 3, 60, 80)
    whole, grid = lesson(zoom, teacher, hot((3, 5)), [0.0, 0.0], images=image)
    zoom.lowres_size = (60, 80)
    if by_name:
        found, seen = lesson(zoom, teacher, hot((3, 5)), [0.0, 0.0], images=image, views=view)
    else:
        zoomed = zoom(image, None, view)
        losses = losses_of(zoomed.images, hot((3, 5)), [0.0, 0.0])
        teacher.observe(losses)
        found, seen = (
            torch.autograd.grad(losses.mean(), zoom.saliency.network.logits)[0],
            zoomed.grid.detach(),
        )

    check_close(compose(view, grid), seen, 1e-5)
    check_close(found, whole, 1e-5)


@pytest.mark.parametrize(("value", "gradient"), [(50.0, 1.0), (0.0, 0.0)])
def test_who_knows_nothing_teaches_nothing(value, gradient):
    """A classifier that is not sure at all changes no weight; without any gradient an even map is taught."""
    zoom, teacher = taught()
    found, _ = lesson(zoom, teacher, gradient * hot((4, 6)), [value, value])
    logits = 2.0 * zoom.saliency.network.logits.detach().flatten(1)
    expected = (logits.softmax(1) - 1 / (ROWS * COLS)).view(found.shape) * (0.0 if value else 1.0)

    check_close(found, expected, 1e-6)


def test_a_network_in_evaluation_mode_is_taught():
    """Batch norm with small batches is kept in evaluation mode, in a zoom that trains."""
    zoom, teacher = taught()
    zoom.saliency.network.eval()

    assert lesson(zoom, teacher, hot((4, 6)), [0.0, 0.0])[0].abs().max() > 0.01


def test_a_map_alone_leaves_nothing_behind():
    """A saliency network that is called by itself, as for a loss of the map, changes neither copies nor later zooms."""
    zoom, teacher = taught()
    zoom.saliency(torch.rand(2, 3, 32, 32)).square().mean().backward()
    copied = copy.deepcopy(zoom)
    zoom.eval()
    zoom(torch.rand(2, 3, 60, 80)).images.mean().backward()
    frozen = zoom.train().requires_grad_(requires_grad=False)(torch.rand(2, 3, 60, 80))

    assert not frozen.images.requires_grad
    assert torch.equal(copied.saliency.network.logits, zoom.saliency.network.logits)
    assert teacher.close() is None


def test_not_before_the_trial_has_ended_well():
    """During the trial nothing is taught, from the step on in which it ends well all is, and nothing if the zoom is taken away."""
    for helps in (True, False):
        zoom, _ = taught(8)
        trial = ZoomTrial(zoom, steps=2)
        teacher = EvidenceTeacher(zoom, after=trial)
        taught_now = []
        for _step in range(3):
            images = zoom(torch.ones(8, 3, 60, 80)).images
            strengths = (
                trial._strengths._drawn[trial._strengths._calls] if trial.helps is None else torch.zeros(8)
            )
            losses = losses_of(images, hot((4, 6), count=8), -strengths if helps else strengths)
            trial.observe(losses.detach())
            teacher.observe(losses)
            slope = torch.autograd.grad(losses.mean(), zoom.saliency.network.logits, allow_unused=True)[0]
            taught_now.append(slope is not None and float(slope.abs().max()) > 1e-4)

        assert trial.helps is helps
        assert taught_now == ([False, True, True] if helps else [False, False, False])


def test_after_close_nothing_is_taught():
    """A closed teacher leaves no hook."""
    zoom, teacher = taught()
    teacher.close()
    found, _ = lesson(zoom, teacher, hot((4, 6)), [0.0, 0.0])

    assert not found.any()
    assert not zoom._forward_hooks
    assert not zoom.saliency.network._forward_hooks
