"""What a trial of a zoom decides, and by which losses."""

import copy
import re

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from foveal.sampler import (
    EvidenceTeacher,
    FixedSaliency,
    MapSaliency,
    PriorSaliency,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    ZoomTrial,
)
from tests.checks import check_close, unhooked
from tests.sampler.saliency.training.trials import drawn, run_trial, small_zoom


def test_images_have_strengths_from_none_to_three(images):
    """On trial each image is zoomed with a strength of its own between 0 and 3; evaluated or without gradients, with 1."""
    zoom = small_zoom()
    full = zoom.saliency(images)
    trial = ZoomTrial(zoom, steps=5)
    torch.manual_seed(0)
    strengths = drawn(zoom, images, full)

    assert strengths.unique().numel() == len(images)
    assert 0 < strengths.min() < 0.1
    assert 2.8 < strengths.max() < 3
    torch.manual_seed(0)
    check_close(zoom.saliency(images), strengths[:, None, None, None] * full, 1e-4)
    with torch.no_grad():
        assert torch.equal(zoom.saliency(images), full)
    zoom.eval()
    assert torch.equal(zoom.saliency(images), full)
    zoom.train()
    trial.close()
    assert torch.equal(zoom.saliency(images), full)


def test_a_zoom_that_helps_stays(images):
    """If stronger zooms have lower losses, the trial ends early, and images are zoomed in full from then on."""
    gain = PriorSaliency().gain
    trial, zoom, step = run_trial(images, slope=-0.5, steps=200)

    assert trial.helps
    assert 5 <= step < 40
    assert zoom.saliency.gain == gain
    full = zoom.eval().saliency(images)
    assert torch.equal(zoom.train().saliency(images), full)


def test_a_new_trial_closes_the_one_before(images):
    """A cell of a notebook that is run again leaves one trial on the zoom: one strength for each image, and after its end full zooms."""
    zoom = small_zoom()
    full = zoom.saliency(images)
    before = ZoomTrial(zoom, steps=5)
    zoom.saliency(images)
    trial = ZoomTrial(zoom, steps=1)

    assert drawn(zoom, images, full).max() < 3
    before.observe(torch.zeros(len(images) + 1))  # knows of no images
    copy.deepcopy((zoom, before))[1].observe(torch.zeros(len(images) + 1))
    trial.observe(torch.zeros(len(images)))
    assert (before.helps, trial.helps) == (None, False)
    zoom.saliency.gain = PriorSaliency().gain
    assert torch.equal(zoom.saliency(images), full)


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_a_zoom_that_does_not_help_goes(slope, images):
    """If stronger zooms have no lower losses, the trial ends at its last step, and images are resized evenly."""
    trial, zoom, step = run_trial(images, slope=slope, steps=60)

    assert trial.helps is False
    assert step == 60
    check_close(zoom(images).images, UniformSampler(8)(images).images, 1e-4)


class Idle(nn.Module):
    """A network whose map is always even, so that its zoom changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, small: torch.Tensor) -> torch.Tensor:
        return self.weight * small.new_ones(len(small), 1, 1, 1)


def chance(seed: int, steps: int, *, end: bool) -> ZoomTrial:
    """Return a trial of so many steps in which the strengths have nothing to do with the losses."""
    torch.manual_seed(seed)
    saliency = PriorSaliency(Idle(), FixedSaliency(torch.ones(1, 1)))
    trial = ZoomTrial(SaliencySampler(8, saliency=saliency), steps=steps if end else 10**9)
    for _ in range(steps):
        saliency(torch.empty(64, 3, 1, 1))
        trial.observe(torch.rand(64))
    return trial


def test_a_zoom_that_changes_nothing_mostly_goes():
    """Of 160 zooms that change nothing, about one stays: its slope is two and a half standard errors below zero by chance."""
    stayed = sum(chance(seed, 8, end=True).helps for seed in range(480))

    assert 1 <= stayed <= 7


@pytest.mark.parametrize("steps", [1, 30, pytest.param(200, marks=pytest.mark.slow)])
def test_without_effect_the_slope_spreads_by_one_standard_error(steps):
    """Also in a long trial, in which older images count less and less."""
    found = np.array([chance(seed, steps, end=False).standard_errors for seed in range(120)])

    assert 0.85 < found.std() < 1.15
    assert abs(found.mean()) < 0.3


@pytest.mark.parametrize(("errors", "helps"), [(-2.8, True), (-2.2, False), (2.8, False)])
def test_two_and_a_half_standard_errors_are_enough_at_the_last_step(errors, helps, images):
    """Before that they are not: the trial goes on."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=30)
    trial.load_state_dict({"helps": None, "step": 28, "sums": [400.0, 400.0, 20 * errors, 400.0]})
    told = []
    for _ in range(2):
        zoom.saliency(images)
        trial.observe(torch.ones(len(images)))  # says nothing
        told.append(trial.helps)

    assert trial.standard_errors == pytest.approx(errors, abs=0.2)
    assert told == [None, helps]


@pytest.mark.parametrize(("seen", "helps"), [({}, True), ({"images": 3e3}, True), ({"images": 3e6}, None)])
def test_the_longer_a_trial_lasts_the_more_it_asks(seen, helps, images):
    """Else a zoom that brings nothing would seem to help sooner or later. An earlier version's state does not say how many images it saw."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=10**6)
    trial.load_state_dict({"helps": None, "step": 50, "sums": [400.0, 400.0, 20 * -4.6, 400.0], **seen})
    zoom.saliency(images)
    trial.observe(torch.ones(len(images)))  # says nothing

    assert -5 < trial.standard_errors < -4.1
    assert trial.helps is helps


def test_images_are_counted_in_the_state(images):
    """Less one for each batch, as many as can be compared."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=9)
    for _ in range(2):
        zoom.saliency(images)
        trial.observe(torch.rand(len(images)))

    assert trial.state_dict()["images"] == 2 * (len(images) - 1)


def test_the_slope_in_standard_errors(images):
    """For few images the score is that of a linear regression, by scipy."""
    zoom = small_zoom()
    full, losses = zoom.eval().saliency(images), torch.rand(len(images))
    zoom.train()
    trial = ZoomTrial(zoom, steps=5)
    strengths = drawn(zoom, images, full)
    trial.observe(losses)

    fit = stats.linregress(strengths.double().numpy(), losses.double().numpy())
    assert trial.standard_errors == pytest.approx(fit.rvalue * np.sqrt(len(images) - 1), rel=1e-3)


@pytest.mark.parametrize("zoom", [UniformSampler(8), SaliencySampler(8, saliency=SpectralSaliency()), SaliencySampler(8).requires_grad_(False)])  # fmt: skip
def test_nothing_to_try(zoom, images):
    """A zoom without a prior, or without weights to train, is left as it is."""
    trial = ZoomTrial(zoom, steps=1)
    trial.observe(torch.ones(64))

    assert trial.helps
    assert torch.equal(zoom(images).images, zoom(images).images)


@pytest.mark.parametrize("prior", [FixedSaliency(torch.eye(5)), MapSaliency(map_size=5)])
def test_cells_without_weight_are_no_obstacle(prior, images):
    """A prior that is zero in places is resized evenly at a strength of almost nothing, and zoomed as ever at one."""
    zoom = SaliencySampler(
        8, lowres_size=(40, 40), saliency=PriorSaliency(nn.Conv2d(3, 1, 8, stride=8), prior, gain=1.0)
    )
    nn.init.zeros_(zoom.saliency.network.weight)
    maps = {"maps": [torch.eye(5)] * 64} if isinstance(prior, MapSaliency) else {}
    even, full = UniformSampler(8)(images).grid, zoom.eval()(images, **maps).grid
    trial = ZoomTrial(zoom.train(), steps=5)

    def at(strength: float) -> torch.Tensor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "rand", lambda count, **_: torch.full((count,), strength / 3))
            return zoom(images, **maps).grid

    check_close(at(0.0), even, 1e-5)
    check_close(at(1.0), full, 1e-3)
    assert (at(0.05) - even).abs().max() < 0.5 * (full - even).abs().max()
    trial.close()


def test_messages(images):
    """Wrong use gets an error that says what to do."""
    zoom = small_zoom()
    with pytest.raises(ValueError, match=re.escape("steps must be at least 1, got 0.")):
        ZoomTrial(zoom, steps=0)
    with unhooked(), pytest.raises(TypeError, match=re.escape("steps must be a whole number, got 2.5.")):
        ZoomTrial(zoom, steps=2.5)
    with pytest.raises(ValueError, match=re.escape("zoom must have at most one PriorSaliency, got 2.")):
        ZoomTrial(nn.ModuleList([PriorSaliency(), PriorSaliency()]), steps=5)
    trial = ZoomTrial(zoom, steps=5)
    zoom(images[:3])
    text = "losses must be those of images that were zoomed in training mode since the last call, 3 at most, got 4 – make the trial before the first batch, call zoom.train(), checkpoint the zoom with use_reentrant=False, and observe the sum of several losses."
    with pytest.raises(ValueError, match=re.escape(text)):
        trial.observe(torch.ones(4))
    text = "losses must be one for each of the 3 images that were zoomed last, got 2 – leave none out; an infinite loss does not count."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        trial.observe(torch.ones(2))
    text = 'losses must be one for each image, got shape () – compute them with reduction="none".'
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        trial.observe(torch.tensor(0.5))
    with unhooked(), pytest.raises(TypeError, match=r"^losses must be a tensor, got .*list"):
        trial.observe([1.0, 2.0])
    text = "zoom must be a torch.nn.Module, got NoneType – give the sampler that is trained."
    for make in (lambda: ZoomTrial(None, steps=5), lambda: EvidenceTeacher(None)):
        with unhooked(), pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
            make()
    text = "state must be what ZoomTrial.state_dict() returned, got the keys ['step']."
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        trial.load_state_dict({"step": 1})
