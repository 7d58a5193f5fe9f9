"""A saliency network that gets a map beside each image."""

import re

import pytest
import torch
from torch.nn.functional import interpolate

from foveal.sampler import (
    BoxSaliency,
    MapChannelSaliency,
    MapSaliency,
    PriorSaliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    ZoomNeeds,
    compose,
)
from tests.checks import check_close, unhooked

SMALL = torch.zeros(2, 3, 64, 64)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.rand(2, 3, 90, 120)


@pytest.fixture
def maps():
    return [torch.rand(24, 24), torch.rand(200, 300)]


class Fourth(torch.nn.Module):
    """Records its input, and returns the fourth channel."""

    map_size = (31, 31)

    def forward(self, seen):
        self.seen = seen
        return interpolate(seen[:, 3:], self.map_size)


def test_a_map_that_was_taken_away_keeps_its_size(images, maps):
    """With a gain of 0 the map is even, and as large as before, also if the network does not say how large."""

    def network(seen):
        return interpolate(seen[:, 3:], (4, 5))

    wrapped = torch.nn.Module()
    wrapped.forward = network
    prior = torch.nn.Module()
    prior.forward = lambda small: small.new_zeros(len(small), 1, 4, 5)
    saliency = PriorSaliency(MapChannelSaliency(network=wrapped), prior, gain=0.0)

    assert SaliencySampler(16, saliency=saliency)(images, maps=maps).saliency.shape == (2, 1, 4, 5)


def test_the_fourth_channel_is_the_map(images):
    """The fourth channel is the map, divided by its maximum and resized; the others are the image."""
    network = Fourth()
    zoom = SaliencySampler(16, saliency=MapChannelSaliency(network=network), lowres_size=(64, 48))
    ramp = torch.linspace(0, 7, 40).expand(30, 40)
    zoom(images, maps=[ramp, torch.zeros(5, 5)])
    place = (torch.arange(48) + 0.5) / 48

    assert network.seen.shape == (2, 4, 64, 48)
    check_close(network.seen[0, 3, 20, 2:-2], ((place * 40 - 0.5) / 39)[2:-2], 1e-2)
    assert not network.seen[1, 3].any()
    zoom(images, maps=[ramp, ramp], lowres=images[:, :, :64, :48])
    assert torch.equal(network.seen[:, :3], images[:, :, :64, :48])


def test_the_map_moves_with_the_view(images):
    """In a flipped view, the map is flipped, too."""
    network = Fourth()
    zoom = SaliencySampler(16, saliency=MapChannelSaliency(network=network))
    mirror, ramp = torch.tensor([[-1.0, 0, 0], [0, 1, 0]]).repeat(2, 1, 1), torch.rand(24, 24)
    mirrored = zoom(images, views=mirror, maps=[ramp] * 2)
    seen = network.seen
    plain = zoom(images.flip(3), maps=[ramp.flip(1)] * 2)

    check_close(seen, network.seen, 1e-5)
    check_close(mirrored.grid, compose(mirror, plain.grid), 1e-5)


@pytest.mark.parametrize("network", [SaliencyNet, SaliencyUNet])
def test_it_learns_to_look_where_the_map_points(network):
    """With images that show nothing and a spot in each map, training moves the saliency to the spot."""
    saliency = MapChannelSaliency(network=network((9, 9), channels=4))
    optimizer = torch.optim.Adam(saliency.parameters(), lr=0.03)
    losses, spots = [], torch.eye(81).view(81, 1, 9, 9)
    for _ in range(40):
        told = spots[torch.randperm(81)[:16]]
        shares = saliency(torch.zeros(16, 3, 32, 32), maps=told).flatten(1).log_softmax(1)
        loss = -(shares * told.flatten(1)).sum(1).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert losses[0] == pytest.approx(4.39, abs=0.05)  # the logarithm of 81: even
    assert losses[-1] < 3


def test_every_weight_learns(images, maps):
    """All weights have gradients from the pixels, and the map has one if another network makes it."""
    network = SaliencyNet(channels=4, contrast=0.03)
    zoom = SaliencySampler(24, saliency=MapChannelSaliency(network=network))
    given = [each.requires_grad_() for each in maps]
    zoom(images, maps=given).images.square().mean().backward()

    assert all(weight.grad.abs().sum() > 0 for weight in zoom.parameters())
    assert network.stem[0][0].weight.grad[:, 3].abs().sum() > 0
    assert all(each.grad.abs().sum() > 0 for each in given)


def beside(**prior):
    return PriorSaliency(MapChannelSaliency("attention.npy"), **prior)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MapChannelSaliency("attention.npy", SaliencyUNet((9, 12), channels=4)),
        lambda: MapChannelSaliency("attention.npy", SaliencyNet(channels=4, contrast=0.1)),
        beside,
        lambda: beside(prior=MapSaliency("attention.npy", floor=0.1), gain=1.0),
    ],
)
def test_it_comes_back_from_a_file(make, images, maps, tmp_path):
    """A checkpoint restores the network, its weights and the name of the member."""
    zoom = SaliencySampler(24, saliency=make())
    for weight in zoom.parameters():
        weight.data += 0.03 * torch.randn_like(weight)
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt")

    assert ZoomNeeds.of(again) == ZoomNeeds.of(zoom)
    assert ZoomNeeds.of(zoom).maps_from == "attention.npy"
    with torch.no_grad():
        assert torch.equal(again(images, maps=maps).images, zoom(images, maps=maps).images)


def test_beside_a_prior(images, maps):
    """It starts as the prior; boxes go to the prior and the map to the network."""
    boxes = [torch.tensor([[0.1, 0.2, 0.3, 0.4]])] * 2
    both = PriorSaliency(MapChannelSaliency(), BoxSaliency(), gain=1.0)
    known = SaliencySampler(16, saliency=BoxSaliency())(images, boxes=boxes)

    check_close(SaliencySampler(16, saliency=both)(images, boxes=boxes, maps=maps).grid, known.grid, 1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: PriorSaliency(MapChannelSaliency("a.npy"), MapSaliency("b.npy")),
            "prior and network must take maps from one field, got ['b.npy', 'a.npy'].",
        ),
        (
            lambda: SaliencySampler(8, saliency=MapChannelSaliency())(SMALL),
            "maps must be a list of 2 tensors, one for each image, got None – call the sampler with maps=[...].",
        ),
    ],
)
def test_messages(call, message):
    """Each error names what was given."""
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
