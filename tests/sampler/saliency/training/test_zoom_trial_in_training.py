"""A zoom on trial in a training: ranks, states, copies, and steps that do not count."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch

from foveal.sampler import (
    SaliencySampler,
    ZoomTrial,
)
from tests.sampler.saliency.training.trials import drawn, run_trial, small_zoom


def test_ranks_decide_together(images, monkeypatch):
    """With a process group, the images of all ranks count: two ranks with the same losses have twice the evidence."""
    alone, _, step = run_trial(images, slope=-0.3, steps=200)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.mul_(2))
    together, _, sooner = run_trial(images, slope=-0.3, steps=200)

    assert alone.helps
    assert together.helps
    assert sooner < step


def test_the_state_goes_on(images):
    """A trial that was saved in the middle, or at the end, goes on where it was."""
    whole, _, step = run_trial(images, slope=-0.5, steps=200)
    torch.manual_seed(1)
    zoom = small_zoom()
    full, noise = zoom.eval().saliency(images), torch.Generator().manual_seed(2)
    zoom.train()
    trial = ZoomTrial(zoom, steps=200)
    for k in range(step):
        if k == 5:
            state = trial.state_dict()
            trial.close()
            trial = ZoomTrial(zoom, steps=200)
            trial.load_state_dict(state)
        trial.observe(-0.5 * drawn(zoom, images, full) + torch.randn(64, generator=noise) + 100 / (k + 1))

    assert trial.state_dict() == whole.state_dict()
    other = small_zoom()
    again = ZoomTrial(other, steps=200)
    again.load_state_dict({**whole.state_dict(), "helps": False})
    assert again.helps is False
    assert other.saliency.gain == 0


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda zoom: pickle.loads(pickle.dumps(zoom))], ids=["deepcopy", "pickle"]
)
def test_a_copy_is_not_on_trial(copied, images):
    """It zooms in full, takes no random numbers, and says nothing to the trial."""
    zoom = small_zoom()
    full = zoom.saliency(images)
    trial = ZoomTrial(zoom, steps=5)
    average, before = copied(zoom), torch.get_rng_state()

    assert torch.equal(average.saliency(images), full)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match="0 at most"):
        trial.observe(torch.ones(len(images)))


def test_a_trainer_is_copied_with_its_trial(images):
    """If zoom and trial are copied together, the copies belong together, as in a process that is spawned with both."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=5)
    zoom.saliency(images)
    other, others = pickle.loads(pickle.dumps((zoom, trial)))
    other.saliency(images)
    others.observe(torch.rand(len(images)))

    assert [trial.state_dict()["step"], others.state_dict()["step"]] == [0, 1]


def test_a_batch_may_be_zoomed_ahead(images):
    """Losses with their graph belong to the images that they are of, and are taken once, whatever was zoomed since."""
    zoom = small_zoom()
    other = copy.deepcopy(zoom)
    trial, expected = ZoomTrial(zoom, steps=9), ZoomTrial(other, steps=9)

    def losses_of(each: SaliencySampler, step: int) -> torch.Tensor:
        torch.manual_seed(step)
        return each.saliency(images).mean((1, 2, 3)).square()

    ahead = losses_of(zoom, 0)
    for step in range(3):
        expected.observe(losses_of(other, step))
        losses, ahead = ahead, losses_of(zoom, step + 1)
        trial.observe(losses)
        with pytest.raises(ValueError, match="since the last call, 0 at most, got 64"):
            trial.observe(losses)

    assert trial.state_dict() == expected.state_dict()


def test_losses_that_are_not_finite_do_not_count(images):
    """Infinite losses and NaN change nothing."""
    trials = []
    for bad in (False, True):
        torch.manual_seed(3)
        zoom = small_zoom()
        trial = ZoomTrial(zoom, steps=5)
        zoom.saliency(images)
        losses = torch.linspace(0, 1, len(images))
        trial.observe(
            torch.cat([losses[:60], torch.tensor([torch.nan, torch.inf, -torch.inf, torch.nan])])
            if bad
            else losses
        )
        trials.append(trial.state_dict())

    assert trials[1]["sums"][0] == 59
    assert all(np.isfinite(trials[1]["sums"]))


@pytest.mark.parametrize("count", [0, 1])
def test_batches_without_a_comparison(count):
    """A batch of one image, or of none, says nothing."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=2)
    zoom(torch.rand(1, 3, 40, 40))
    trial.observe(torch.full((count,), 0.5))

    assert trial.standard_errors == 0
    assert trial.helps is None


def test_a_trial_that_compared_nothing_says_so():
    """A trial whose batches all had one image takes the zoom away with a warning."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=2)
    text = "a ZoomTrial takes the zoom away after 2 steps, because no batch had several images with finite losses to compare – train with larger batches, or without a trial."
    zoom(torch.rand(1, 3, 40, 40))
    trial.observe(torch.ones(1))
    zoom(torch.rand(1, 3, 40, 40))
    with pytest.warns(UserWarning, match=f"^{re.escape(text)}$"):
        trial.observe(torch.ones(1))

    assert trial.helps is False


def test_steps_with_a_frozen_zoom_do_not_count(images):
    """A zoom that is frozen for a while goes on with its trial afterwards."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=2)
    for frozen in (True, True, False, True, False):
        zoom.requires_grad_(not frozen)
        zoom.saliency(images)
        trial.observe(torch.rand(len(images)))
        assert trial.helps is None or not frozen

    assert trial.state_dict()["step"] == 2
    assert trial.helps is not None


def test_going_back(images):
    """An earlier state of a trial that is over goes on from there."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=2)
    zoom.saliency(images)
    trial.observe(torch.rand(len(images)))
    before, weights = trial.state_dict(), zoom.state_dict()
    for _ in range(2):
        zoom.saliency(images)
        trial.observe(torch.arange(64.0))
        zoom.load_state_dict(weights)
        trial.load_state_dict(before)
        assert trial.helps is None
        assert trial.state_dict() == before
        assert not torch.equal(zoom.saliency(images), zoom.saliency(images))


def test_a_zoom_that_was_taken_away_is_not_tried_again(images):
    """Its saliency is even, so that no strength makes a difference."""
    zoom = small_zoom()
    zoom.saliency.gain = 0.0
    trial = ZoomTrial(zoom, steps=1)
    trial.observe(torch.rand(len(images)))

    assert trial.helps is False


def test_losses_after_the_end_are_ignored():
    """A trial that was closed takes no more losses."""
    trial = ZoomTrial(SaliencySampler(8), steps=3)
    trial.close()
    trial.observe(torch.rand(2))

    assert trial.helps is None
