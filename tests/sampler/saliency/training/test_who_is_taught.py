"""Which networks a classifier teaches, in which form, and when; what is refused."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    EvidenceTeacher,
    FixedSaliency,
    MixedResolution,
    PriorSaliency,
    SaliencySampler,
    UniformSampler,
)
from tests.checks import check_close, unhooked
from tests.sampler.saliency.training.taught import (
    COLS,
    ROWS,
    SIZE,
    Drawn,
    by_hand,
    hot,
    lesson,
    losses_of,
    middle,
    taught,
)


class Squashed(SaliencySampler):
    """A sampler whose images come from an operation whose derivative needs its result."""

    def forward(self, *given, **named):
        zoomed = super().forward(*given, **named)
        return zoomed._replace(images=zoomed.images.sigmoid())


def test_a_sampler_of_ones_own():
    """What a derived sampler does to its images is left alone."""
    zoom = Squashed(SIZE, saliency=PriorSaliency(Drawn(2), FixedSaliency(torch.ones(ROWS, COLS)), gain=2.0))
    found, grid = lesson(zoom, EvidenceTeacher(zoom), hot((4, 6)), [0.0, 0.0])
    logits = zoom.saliency.network.logits[0, 0].detach().numpy()

    check_close(found[0, 0], by_hand(logits, [middle(grid[0], 4, 6)]) / 2, 1e-5)


def test_a_network_that_is_frozen_learns_nothing():
    """A zoom that is frozen in mid-training needs no other loop."""
    zoom, teacher = taught()
    lesson(zoom, teacher, hot((4, 6)), [0.0, 0.0])
    zoom.requires_grad_(requires_grad=False)
    classifier = nn.Linear(3 * SIZE * SIZE, 1)
    losses = classifier(zoom(torch.rand(2, 3, 60, 80)).images.flatten(1))[:, 0]
    teacher.observe(losses)
    losses.mean().backward()

    assert zoom.saliency.network.logits.grad is None


def test_a_parameter_as_logits():
    """A network that returns its parameter itself is taught as often as it is asked."""
    zoom, teacher = taught()
    network = zoom.saliency.network
    network.forward = lambda _small: network.logits
    lessons = [
        lesson(zoom, teacher, hot((4, 6)), [0.0, 0.0], images=torch.ones(2, 3, 60, 80))[0] for _ in range(3)
    ]

    assert lessons[0].any()
    check_close(lessons[2], lessons[0], 1e-6)


def test_a_zoom_has_one_teacher():
    """A cell of a notebook that is run again leaves one teacher on the zoom: the earlier one teaches no more, the later one once."""
    zoom, earlier = taught(strength=10.0)
    later = EvidenceTeacher(zoom)
    zoomed = zoom(torch.rand(2, 3, 60, 80))
    losses = losses_of(zoomed.images, hot((4, 6)), [0.0, 0.0])
    logits = zoom.saliency.network.logits
    without = torch.autograd.grad(losses.mean(), logits, retain_graph=True)[0]
    earlier.observe(losses)
    later.observe(losses)
    found = torch.autograd.grad(losses.mean(), logits)[0] - without

    points = [middle(zoomed.grid.detach()[0], 4, 6)]
    check_close(found[0, 0], by_hand(logits[0, 0].detach().numpy(), points) / 2, 1e-5)


@pytest.mark.parametrize(
    "how",
    [
        {"dtype": torch.bfloat16, "channels_last": True},
        {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.1)},
        {"compat": "torch13plus", "antialias": False},
        {"family": "cdf", "antialias": False},
    ],
)
def test_in_every_form(how):
    """Whatever form the pixels have, the lesson is the same but for rounding, and the images can be changed in place."""
    zoom = SaliencySampler(
        SIZE, saliency=PriorSaliency(Drawn(2), FixedSaliency(torch.ones(ROWS, COLS))), **how
    )
    teacher = EvidenceTeacher(zoom)
    found, grid = lesson(zoom, teacher, hot((4, 6)), [0.0, 1.0])

    for k in range(2):
        logits = zoom.saliency.network.logits[k, 0].detach().numpy()
        slope = by_hand(logits, [middle(grid[k], 4, 6)], gain=zoom.saliency.gain)
        check_close(found[k, 0], np.exp(-k) / 2 * slope, 2e-3 if "dtype" in how else 1e-5)
    assert zoom(torch.rand(2, 3, 60, 80)).images.mul_(2).requires_grad


@pytest.mark.parametrize(
    "zoom",
    [
        UniformSampler(8),
        SaliencySampler(8, saliency=FixedSaliency(torch.ones(3, 3))),
        SaliencySampler(8).requires_grad_(requires_grad=False),
        SaliencySampler(8, saliency=PriorSaliency(gain=0.0)),
        MixedResolution(3, patch_size=4, refined=2, saliency=PriorSaliency()),
    ],
)
def test_what_cannot_be_taught(zoom):
    """A zoom without a network to teach is left as it is, so that one loop serves all zooms."""
    teacher = EvidenceTeacher(zoom)
    zoom(torch.rand(2, 3, 20, 30))
    losses = torch.zeros(2, requires_grad=True) * 1
    teacher.observe(losses)
    losses.sum().backward()

    assert teacher.close() is None


def test_refused():
    """Losses of other images, without a graph or not one for each image, and odd strengths are refused."""
    zoom, teacher = taught()
    losses = losses_of(zoom(torch.rand(2, 3, 60, 80)).images, hot((4, 6)), [0.0, 0.0])
    for wrong, shape, graph in ((losses.detach(), (2,), False), (losses.mean(), (), True)):
        message = (
            f"losses must be one for each image and have their graph, got shape {shape!r} and requires_grad={graph!r} – "
            'compute them with reduction="none", and do not detach them.'
        )
        with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
            teacher.observe(wrong)
    with pytest.raises(
        ValueError, match=r"^losses must be one for each of the 2 images that were zoomed, got 1\.$"
    ):
        teacher.observe(losses[1:])
    same = torch.rand(2, 3, 60, 80)
    twice = losses_of(zoom(same).images + zoom(same).images, hot((4, 6)), [0.0, 0.0])
    message = (
        "losses must be one for each of the 4 images that were zoomed, got 2 – images of 16 bits are zoomed twice by a zoom of yours, "
        "unless it says takes_deep = True."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        teacher.observe(twice)
    elsewhere = torch.zeros(2, requires_grad=True) * 1
    message = (
        "losses must lead to images that were zoomed in training mode, got none in their graph – make the teacher before the first "
        "batch, checkpoint the zoom with use_reentrant=False, call zoom.train(), and do not compile the zoom."
    )
    for lost in (elsewhere, losses_of(zoom.eval()(torch.rand(2, 3, 60, 80)).images, hot((4, 6)), [0.0, 0.0])):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            teacher.observe(lost)
    for strength in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=rf"^strength must be positive and finite, got {strength!r}\.$"):
            EvidenceTeacher(zoom, strength=strength)
    with pytest.raises(ValueError, match=r"^zoom must have at most one PriorSaliency, got 2\.$"):
        EvidenceTeacher(nn.ModuleList([zoom, taught()[0]]))


def test_a_compiled_zoom_cannot_be_followed(run_plain):
    """In a compiled zoom nothing is taught, and that is said; a compiled classifier teaches like another."""
    run_plain("""
        import torch
        from foveal.sampler import EvidenceTeacher, SaliencySampler
        from torch import nn
        slopes = []
        for compiled in (None, "classifier", "zoom"):
            torch.manual_seed(0)
            zoom = SaliencySampler(16, lowres_size=(32, 32))
            classifier = nn.Sequential(nn.Conv2d(3, 1, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            teacher = EvidenceTeacher(zoom)
            if compiled == "classifier":
                classifier = torch.compile(classifier, backend="eager")
            images = (torch.compile(zoom, backend="eager") if compiled == "zoom" else zoom)(torch.rand(2, 3, 40, 50)).images
            losses = classifier(images)[:, 0]
            try:
                teacher.observe(losses)
            except ValueError as error:
                assert compiled == "zoom", error
                assert str(error).endswith("call zoom.train(), and do not compile the zoom.")
            else:
                losses.mean().backward()
                slopes.append(zoom.saliency.network.head.weight.grad)
        assert slopes[0].any()
        torch.testing.assert_close(slopes[1], slopes[0])
        assert len(slopes) == 2
    """)


def test_in_a_process_group_each_rank_teaches(run_plain):
    """With DistributedDataParallel around the zoom, the lesson reaches all ranks as a mean, like every gradient."""
    run_plain("""
        import torch, torch.distributed as dist
        from foveal.sampler import EvidenceTeacher, SaliencySampler
        from torch.nn.parallel import DistributedDataParallel
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        slopes = []
        for shared in (False, True):
            torch.manual_seed(0)
            zoom = SaliencySampler(16, lowres_size=(32, 32))
            teacher = EvidenceTeacher(DistributedDataParallel(zoom) if shared else zoom)
            seen = DistributedDataParallel(zoom) if shared else zoom
            for _ in range(2):
                zoom.zero_grad()
                losses = seen(torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))).images.mean((1, 2, 3))
                teacher.observe(losses)
                losses.mean().backward()
            slopes.append(zoom.saliency.network.head.weight.grad)
        assert slopes[0].any()
        torch.testing.assert_close(slopes[1], slopes[0])
        dist.destroy_process_group()
    """)
