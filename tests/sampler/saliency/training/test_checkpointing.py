"""A zoom on trial, and one that is taught, in torch.utils.checkpoint."""

import copy
import re

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from foveal.sampler import EvidenceTeacher, SaliencySampler, ZoomTrial
from tests.sampler.saliency.training.trials import small_zoom

STEPS = 4


def plainly(zoom, images):
    """Zoom without a checkpoint."""
    return zoom(images).images


def checkpointed(zoom, images, *, use_reentrant=False, **how):
    """Zoom in a checkpoint."""
    return checkpoint(lambda seen: zoom(seen).images, images, use_reentrant=use_reentrant, **how)


def around_saliency(zoom, images):
    """Zoom with the saliency alone in a checkpoint, whose recomputation ends at its last operation that saves something."""
    saliency = copy.copy(zoom)
    saliency._modules = {"saliency": Checkpointed(zoom.saliency)}
    return saliency(images).images


class Checkpointed(torch.nn.Module):
    """A saliency in a checkpoint."""

    def __init__(self, saliency):
        super().__init__()
        self.saliency = saliency

    def forward(self, small):
        return checkpoint(self.saliency, small, use_reentrant=False)


def train(call, images, *, slope=0.0, ahead=False, teach=False, after_backward=False):
    """Return the losses and gradients of some steps, in the middle of which the trial ends."""
    torch.manual_seed(0)
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=STEPS // 2)
    teacher = EvidenceTeacher(zoom, after=trial) if teach else None
    optimizer = torch.optim.SGD(zoom.parameters(), 0.1)
    found = []
    waiting = [call(zoom, images)] if ahead else []
    for _ in range(STEPS):
        waiting.append(call(zoom, images))
        strengths = next(iter(trial._strengths._drawn.values())) if trial._strengths else torch.zeros(64)
        losses = waiting.pop(0).square().mean((1, 2, 3)) + slope * strengths
        if not after_backward:
            trial.observe(losses)
        if teacher is not None:
            teacher.observe(losses)
        losses.mean().backward()
        if after_backward:
            trial.observe(losses)
        found += [losses.detach(), *(each.grad.clone() for each in zoom.parameters())]
        if not ahead:
            optimizer.step()
        optimizer.zero_grad()
    return found, trial, zoom


@pytest.mark.parametrize("call", [checkpointed, around_saliency])
@pytest.mark.parametrize("how", [{}, {"after_backward": True}, {"ahead": True}], ids=repr)
@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_a_trial_ends_as_without_a_checkpoint(call, how, slope, images):
    """Losses, gradients and verdict are the same, with the step in which the trial ends, and for a batch that was zoomed before it ended."""
    expected, plain, _ = train(plainly, images, slope=slope, **how)
    found, trial, zoom = train(call, images, slope=slope, **how)

    assert trial.helps is plain.helps is (slope < 0)
    assert trial.state_dict() == plain.state_dict()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert zoom.saliency.gain == (3.0 if trial.helps else 0.0)


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_a_teacher_teaches_as_without_a_checkpoint(slope, images):
    """From the step on in which the trial ends well, its lesson reaches the network."""
    expected, *_ = train(plainly, images, slope=slope, teach=True)
    found, *_ = train(checkpointed, images, slope=slope, teach=True)
    untaught, *_ = train(plainly, images, slope=slope)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(found[-2], untaught[-2]) == (slope == 0)


def test_the_verdict_is_known_before_the_backward(images):
    """Between observe and backward, and after it, gain and weights say that the zoom was taken away."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=1)
    losses = checkpointed(zoom, images).mean((1, 2, 3))
    trial.observe(0 * losses)  # says nothing
    told = []
    for done in (lambda: None, losses.mean().backward):
        done()
        told.append((trial.helps, zoom.saliency.gain, float(zoom.state_dict()["saliency.taken_away"])))

    assert told == [(False, 0.0, 1.0)] * 2
    assert zoom.saliency.network.weight.grad.any()


def test_a_forward_that_is_computed_again_is_no_second_call(images):
    """Nothing of a step is left when its losses were observed, and nothing of a trial when it is over."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=2)
    for _ in range(2):
        losses = checkpointed(zoom, images).mean((1, 2, 3))
        trial.observe(losses)
        losses.mean().backward()
        if trial.helps is None:
            with pytest.raises(ValueError, match="since the last call, 0 at most, got 64"):
                trial.observe(losses.detach())
    del losses
    zoom(images)

    assert not zoom.saliency._forward_hooks
    assert not zoom.saliency._forward_pre_hooks


REENTRANT = (
    "use_reentrant must be False and preserve_rng_state True for a zoom on trial in torch.utils.checkpoint, got other strengths in "
    "backward than in forward – call checkpoint(..., use_reentrant=False)."
)


@pytest.mark.parametrize("how", [{"use_reentrant": True}, {"preserve_rng_state": False}], ids=repr)
def test_other_strengths_the_second_time_are_an_error(how, images):
    """A first pass that drew none, or others, is an error in the backward that would learn from what nobody saw."""
    zoom = small_zoom()
    trial = ZoomTrial(zoom, steps=2)
    losses = checkpointed(zoom, images.requires_grad_(), **how).mean((1, 2, 3))
    with pytest.raises(ValueError, match=f"^{re.escape(REENTRANT)}$"):
        losses.mean().backward()
    trial.close()
    checkpointed(zoom, images, **how).mean().backward()  # as ever without a trial

    assert zoom.saliency.network.weight.grad.any()


@pytest.mark.parametrize("kind", [ZoomTrial, EvidenceTeacher])
def test_losses_of_a_reentrant_checkpoint(kind, images):
    """They have nothing to do with the images for torch, and the message says what to do."""
    zoom = SaliencySampler(8, lowres_size=(40, 40))
    watcher = kind(zoom, steps=2) if kind is ZoomTrial else kind(zoom)
    losses = checkpointed(zoom, images[:2].requires_grad_(), use_reentrant=True).mean((1, 2, 3))

    with pytest.raises(ValueError, match="checkpoint the zoom with use_reentrant=False"):
        watcher.observe(losses)
