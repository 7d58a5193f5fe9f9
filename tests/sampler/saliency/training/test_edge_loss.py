"""The loss that attracts saliency to class boundaries, compared with its formula in NumPy."""

import re

import numpy as np
import pytest
import torch

from foveal.sampler import edge_loss
from tests.checks import check_close, unhooked


def divided(rows=24, cols=36, at=12):
    """Return a mask of two classes, left and right."""
    mask = torch.zeros(1, rows, cols, dtype=torch.int64)
    mask[..., at:] = 7
    return mask


def wanted(at, cols, nodes, sigma):
    """Return the target along the width for a boundary between two columns, in float64."""
    met = np.zeros(cols)
    met[at - 1 : at + 1] = 1
    line = np.interp(np.arange(nodes) / (nodes - 1), (np.arange(cols) + 0.5) / cols, met)
    weight = np.exp(-((np.arange(nodes) - np.arange(nodes)[:, None]) ** 2) / (2 * sigma**2))
    line = (weight / weight.sum(1, keepdims=True)) @ line
    return line / line.sum()


def test_it_is_the_divergence_by_hand():
    """The loss is the divergence of the map from the blurred boundary, and zero if they are equal."""
    line = wanted(12, 36, 61, 2.0)
    aim = np.repeat(line[None] / 41, 41, axis=0)
    given = np.random.default_rng(0).random((41, 61)) + 0.1
    given /= given.sum()
    there = aim > 0
    by_hand = (aim[there] * np.log(aim[there] / given[there])).sum()

    found = edge_loss(torch.from_numpy(given)[None, None], divided(), sigma=2.0)
    check_close(found, by_hand, 1e-9)
    check_close(edge_loss(torch.from_numpy(aim)[None, None], divided(), sigma=2.0), 0.0, 1e-9)
    assert by_hand > 1


@pytest.mark.parametrize("rotated", [0, 1])
def test_it_draws_saliency_to_the_boundary(rotated):
    """Descent along its gradient moves saliency to the boundary, whatever the ids, in both directions."""
    mask = torch.rot90(divided(), rotated, (1, 2))
    logits = torch.zeros(1, 1, 15, 15, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        loss = edge_loss(logits.flatten(1).softmax(1).view_as(logits), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    [[found]] = torch.rot90(logits.flatten(1).softmax(1).view_as(logits), -rotated, (2, 3)).detach()

    assert abs(float(found.sum(0) @ torch.linspace(0, 1, 15)) - 12 / 36) < 0.01
    assert loss < 0.01


def test_one_class_asks_for_an_even_map():
    """For a mask of one class the loss is zero for a uniform map only; in a batch it is averaged."""
    even, half = torch.full((1, 1, 4, 6), 1 / 24), torch.zeros(1, 1, 4, 6)
    half[..., :3] = 1 / 12
    mask = torch.ones(1, 9, 9, dtype=torch.int64)
    losses = [edge_loss(each, mask) for each in (even, half)]

    check_close(losses[0], 0.0, 1e-6)
    assert losses[1] > 10  # a map without weight where there should be some
    check_close(edge_loss(torch.cat([even, half]), mask.expand(2, -1, -1)), sum(losses) / 2, 1e-4)


@pytest.mark.parametrize(
    ("masks", "sigma", "message"),
    [
        (2, 1.0, "masks must be 1, one for each map, got 2."),
        (1, 0.0, "sigma must be positive, got 0.0."),
    ],
)
def test_what_it_refuses(masks, sigma, message):
    """Each invalid argument is named with its value."""
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        edge_loss(torch.full((1, 1, 4, 4), 1 / 16), divided().expand(masks, -1, -1), sigma=sigma)
