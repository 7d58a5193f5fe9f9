"""A prior, and a network that learns what to add to it."""

import re

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from foveal.sampler import (
    BoxSaliency,
    FixedSaliency,
    LearnedSpectralSaliency,
    MapChannelSaliency,
    MapSaliency,
    NJetSaliencyNet,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    ZoomNeeds,
)
from tests.checks import check_close, unhooked

BOXES = [torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([[0.6, 0.5, 0.8, 0.9]])]


@pytest.fixture
def images() -> torch.Tensor:
    """Return noise images with a bright square in each."""
    images = 0.3 * torch.rand(2, 3, 90, 120, generator=torch.Generator().manual_seed(0))
    images[0, :, 20:32, 80:92] = 1
    images[1, :, 60:72, 30:42] = 1
    return images


@pytest.mark.parametrize("network", [SaliencyNet, NJetSaliencyNet, ResNet18Saliency])
def test_it_starts_where_the_prior_is(network, images):
    """The default zoom equals that of its spectral saliency until the first step, for every seed."""
    zoom = SaliencySampler(32, saliency=PriorSaliency(network(zero_init=True)), max_zoom=5.0).eval()
    known = SaliencySampler(32, saliency=LearnedSpectralSaliency(), temperature=1 / 3, max_zoom=5.0)

    with torch.no_grad():
        for ours, theirs in zip(zoom(images), known(images), strict=True):
            check_close(ours, theirs, 1e-4)


def test_a_network_that_does_not_start_at_zero_starts_elsewhere(images):
    """The comparison above fails for a network whose output is not zero."""
    zoom = SaliencySampler(32, saliency=PriorSaliency(SaliencyNet(contrast=0.03)))
    known = SaliencySampler(32, saliency=LearnedSpectralSaliency(), temperature=1 / 3)

    with torch.no_grad():
        assert (zoom(images).grid - known(images).grid).abs().max() > 1e-3


def test_weights_know_their_gain():
    """Saved weights restore the gain; files from before it was saved get the default of then, 4."""
    now, before, chosen = PriorSaliency(), PriorSaliency(), PriorSaliency(gain=1.0)
    state = PriorSaliency(gain=2.0).state_dict()
    now.load_state_dict(state)
    del state._metadata[""]["gain"]
    before.load_state_dict(state)
    chosen.load_state_dict(state)

    assert (now.gain, before.gain, chosen.gain) == (2.0, 4.0, 1.0)


def test_every_weight_learns(images):
    """The last layer has a gradient at once and all other weights from the second step on, as several ranks need it."""
    torch.manual_seed(0)
    zoom = SaliencySampler(24, lowres_size=(64, 64))
    optimizer = torch.optim.SGD(zoom.parameters(), lr=0.1)
    moved = set()
    for _ in range(2):
        optimizer.zero_grad()
        zoom(images).images.square().mean().backward()
        assert all(p.grad is not None for p in zoom.parameters())
        moved |= {name for name, p in zoom.named_parameters() if p.grad.abs().sum() > 0}
        optimizer.step()

    assert moved == {name for name, _ in zoom.named_parameters()}


def test_without_gain_it_is_a_uniform_resize(images, tmp_path):
    """A gain of 0 leaves the image as a uniform resize shows it, and is kept with the weights and in a checkpoint."""
    zoom = SaliencySampler(24, saliency=PriorSaliency(gain=0.0))
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    other = PriorSaliency()
    other.load_state_dict(zoom.saliency.state_dict())

    check_close(zoom(images).images, UniformSampler(24)(images).images, 1e-4)
    assert SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").saliency.gain == 0
    assert other.gain == 0


@pytest.mark.parametrize("part", ["prior", "network"])
def test_without_gain_no_part_is_computed(part, images):
    """With a gain of 0 neither prior nor network looks at the images, and every weight has a gradient of zero."""
    zoom = SaliencySampler(24, saliency=PriorSaliency(gain=0.0))
    getattr(zoom.saliency, part).register_forward_hook(lambda *_: pytest.fail(f"{part} was computed"))

    zoom(images).images.square().mean().backward()

    assert all(p.grad is not None and not p.grad.any() for p in zoom.parameters())


def test_a_file_with_a_random_strength(images, tmp_path):
    """A checkpoint of an earlier version, whose saliency had a random strength, shows what it showed."""
    zoom, path = SaliencySampler(24), tmp_path / "zoom.pt"
    zoom.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    content["arguments"]["random_strength"] = 1.0
    torch.save(content, path)

    assert torch.equal(SaliencySampler.from_checkpoint(path)(images).images, zoom(images).images)


def test_training_leaves_the_prior():
    """Of two objects that stand out alike, training moves the zoom to the requested one."""
    torch.manual_seed(0)
    image = torch.full((1, 3, 120, 120), 0.2)
    image[:, 0, 30:40, 30:40] = 1  # red
    image[:, 2, 80:90, 80:90] = 1  # blue
    zoom = SaliencySampler(32, lowres_size=(64, 64))
    optimizer, redness = torch.optim.Adam(zoom.parameters(), lr=0.01), []
    for _ in range(30):
        shown = zoom(image).images
        redness.append(((shown[:, 0] - shown[:, 2]).clamp(min=0).mean()).item())
        optimizer.zero_grad()
        (shown[:, 2] - shown[:, 0]).mean().backward()
        optimizer.step()

    assert redness[-1] > 1.2 * redness[0]


@pytest.mark.parametrize(
    ("prior", "told"),
    [
        (BoxSaliency("json:boxes"), {"boxes": BOXES}),
        (MapSaliency("attention.npy"), {"maps": [torch.rand(5, 7), torch.rand(9, 9)]}),
        (FixedSaliency(torch.rand(31, 31)), {}),
    ],
)
def test_any_prior(prior, told, images, tmp_path):
    """A loader passes what the prior needs, and a checkpoint restores prior and network."""
    zoom = SaliencySampler(24, saliency=PriorSaliency(prior=prior, gain=2.0)).eval()
    known = SaliencySampler(24, saliency=prior, temperature=1 / 2)
    needs, alone = ZoomNeeds.of(zoom), ZoomNeeds.of(known)
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").eval()

    assert needs == alone
    with torch.no_grad():
        expected = zoom(images, **told)
        check_close(expected.grid, known(images, **told).grid, 1e-5)
        assert torch.equal(again(images, **told).images, expected.images)
    assert repr(again) == repr(zoom)


def test_plain_weights_know_that_the_zoom_was_taken_away(images):
    """A copy of all tensors is enough, in both directions, and an earlier state dict stays as it was."""
    taken, fresh = PriorSaliency(gain=2.0), PriorSaliency(gain=2.0)
    before = taken.state_dict()
    taken.gain = 0.0
    fresh.load_state_dict({name: value.clone() for name, value in taken.state_dict().items()})
    assert fresh.gain == 0.0
    with torch.no_grad():
        assert not fresh(images).any()

    for module in (fresh, taken):
        module.load_state_dict({name: value.clone() for name, value in before.items()})
        assert module.gain == 2.0


@pytest.mark.parametrize("gain", [0.0, 2.0])
def test_weights_of_an_earlier_version(gain):
    """Weights that have the gain only beside them are loaded strictly; if there is no gain either, it stays what it is."""
    state = PriorSaliency(gain=gain).state_dict()
    del state["taken_away"]
    state._metadata[""]["gain"] = gain
    told, kept = PriorSaliency(gain=3.0), PriorSaliency(gain=gain)
    told.load_state_dict(state)
    kept.load_state_dict(dict(state))

    assert told.gain == kept.gain == gain
    assert bool(told.taken_away) == bool(kept.taken_away) == (gain == 0)


@pytest.mark.parametrize("use_buffers", [True, False])
@pytest.mark.parametrize("how", [None, get_ema_multi_avg_fn(0.999)], ids=["mean", "ema"])
def test_an_average_is_taken_away_with_its_zoom(use_buffers, how, images, tmp_path):
    """An average over steps that began before zooms until then, resizes evenly from the next step on, and is saved like that."""
    zoom = SaliencySampler(16)
    average = AveragedModel(zoom, use_buffers=use_buffers, multi_avg_fn=how)
    expected = UniformSampler(16)(images).images
    far = []
    for gain in (3.0, 3.0, 0.0):
        zoom.saliency.gain = gain
        average.update_parameters(zoom)
        far.append(float((average.eval()(images).images.detach() - expected).abs().max()))
    average.module.save_checkpoint(tmp_path / "zoom.pt")

    assert min(far[:2]) > 0.01
    assert far[2] < 1e-4
    assert average.module.saliency.gain == 0
    assert "gain=0.0" in repr(average)
    assert SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").saliency.gain == 0


def test_what_was_learned_is_kept(images, tmp_path):
    """A checkpoint has the network's weights and the gain."""
    saliency = PriorSaliency(
        SaliencyNet((9, 12), contrast=0.1), SpectralSaliency((9, 12), sigma=0.05), gain=3.0
    )
    zoom = SaliencySampler(24, saliency=saliency).eval()
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").eval()

    with torch.no_grad():
        assert torch.equal(again(images).saliency, zoom(images).saliency)


def test_a_part_that_is_left_out_has_the_map_size_of_the_other(images):
    """A heat map of any size is a prior, and so a network of any map size is enough."""
    heat = torch.rand(24, 32)
    for saliency, size in (
        (PriorSaliency(prior=FixedSaliency(heat), gain=1.0), (24, 32)),
        (PriorSaliency(SaliencyNet((9, 12))), (9, 12)),
        (PriorSaliency(prior=nn.Conv2d(3, 1, 1)), (31, 31)),
        (PriorSaliency(MapChannelSaliency("npy")), (31, 31)),
    ):
        parts = (saliency.prior, saliency.network)
        assert size in {getattr(part, "map_size", None) for part in parts}
    zoom = SaliencySampler(8, saliency=PriorSaliency(prior=FixedSaliency(heat), gain=1.0))

    assert zoom(images).saliency.shape == (len(images), 1, 24, 32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PriorSaliency(gain=-1.0), "gain must not be negative, got -1.0."),
        (
            lambda: PriorSaliency(SaliencyNet((9, 9)), SpectralSaliency())(torch.rand(1, 3, 64, 64)),
            "network must have the map size of prior, (31, 31), got (9, 9) – give both the same map_size.",
        ),
        (lambda: SaliencyNet(contrast=-1.0), "contrast must be finite and not negative, got -1.0."),
        (lambda: SaliencyNet(contrast=float("nan")), "contrast must be finite and not negative, got nan."),
        (
            lambda: SaliencyNet(contrast=0.5, zero_init=True),
            "contrast must be 0 with zero_init, got 0.5.",
        ),
        (
            lambda: SaliencySampler(8)(torch.rand(2, 3, 9, 9), boxes=BOXES),
            "boxes must be None for PriorSaliency, got 2",
        ),
    ],
)
def test_messages(make, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        make()


class OwnNet(nn.Module):
    """A user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, small):
        return nn.functional.interpolate(self.conv(small), (31, 31))


def test_a_part_of_ones_own(tmp_path):
    """A module of the user's is made by the caller, and the message says so."""
    zoom = SaliencySampler(8, saliency=PriorSaliency(OwnNet()))
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt", saliency=PriorSaliency(OwnNet()))

    assert torch.equal(again.saliency.network.conv.weight, zoom.saliency.network.conv.weight)
    with pytest.raises(ValueError, match=r"^saliency must be given .* got None for 'OwnNet'"):
        SaliencySampler.from_checkpoint(tmp_path / "zoom.pt")


class Shifted(torch.nn.Module):
    """Logits that are the condition on one half of the map."""

    def forward(self, small, *, condition):
        (words,) = condition
        logits = small.new_zeros(len(small), 1, 31, 31)
        for k, word in enumerate(words):
            logits[k, ..., :15] = len(word)
        return logits


@pytest.mark.parametrize(
    "parts", [(Shifted(), None), (SaliencyNet(zero_init=True), Shifted()), (Shifted(), Shifted())]
)
def test_a_condition_reaches_the_parts_that_take_one(images, parts):
    """Network or prior get the condition if they take one, and are called without it otherwise."""
    both = sum(isinstance(part, Shifted) for part in parts)
    zoom = SaliencySampler(16, saliency=PriorSaliency(*parts, gain=1.0), condition="txt").eval()
    found = zoom(images, condition=(["", "ab"],)).saliency.log()
    without = zoom(images, condition=(["", ""],)).saliency.log()
    change = (found - without)[:, 0]

    assert not change[0].any()
    check_close(change[1, :, :15] - change[1, :, 15:30], torch.full((31, 15), 2.0 * both), 1e-4)


def test_a_condition_that_no_part_takes_is_an_error(images):
    """A condition that neither part takes is refused, because it would have no effect."""
    zoom = SaliencySampler(16, condition="txt")
    with pytest.raises(TypeError, match="condition"):
        zoom(images, condition=(["a", "b"],))


def test_without_a_gain_it_resizes_evenly(images):
    """A gain of 0 gives the uniform resize, whatever the parts say of the size of their map, also where a prior is zero."""
    heat = torch.ones(31, 31)
    heat[:5] = 0
    expected = UniformSampler(16)(images).grid
    for network in (SaliencyNet(), nn.Sequential(SaliencyNet())):
        for prior in (FixedSaliency(heat), nn.Sequential(FixedSaliency(heat))):
            zoom = SaliencySampler(16, saliency=PriorSaliency(network, prior, gain=0.0))
            check_close(zoom(images).grid, expected, 1e-5)


def test_sharded_weights_are_left_alone(run_plain):
    """A zoom that was taken away does not touch what FSDP2 has not gathered: the weights of a part with a group of its own."""
    run_plain("""
        import torch, torch.distributed as dist
        from foveal.sampler import SaliencySampler
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
        zoom, mesh = SaliencySampler(8, lowres_size=(32, 32)), init_device_mesh("cpu", (1,))
        zoom.saliency.gain = 0.0
        fully_shard(zoom.saliency.network, mesh=mesh)
        fully_shard(zoom, mesh=mesh)
        zoomed = zoom(torch.rand(2, 3, 40, 40))
        zoomed.images.mean().backward()
        torch.testing.assert_close(zoomed.saliency, zoomed.saliency.mean().expand_as(zoomed.saliency))
    """)


def test_meta_weights_have_a_gain():
    """A module without storage says the gain that it was given."""
    with torch.device("meta"):
        given = PriorSaliency(gain=2.0)

    assert given.gain == 2.0
