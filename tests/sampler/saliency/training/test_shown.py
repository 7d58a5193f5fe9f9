"""Which images a lesson reaches, on which scale, and how often."""

import copy
import warnings

import pytest
import torch

from tests.checks import check_close
from tests.sampler.saliency.training.taught import hot, lesson, losses_of, taught


@pytest.mark.parametrize("scale", [2.0**16, 2.0**-10])
def test_on_the_scale_of_the_loss(scale):
    """Scaled losses, as of mixed precision or accumulated gradients, scale the lesson alike."""
    zoom, teacher = taught()
    whole, _ = lesson(zoom, teacher, hot((4, 6)), [0.0, 1.0])
    zoomed = zoom(torch.zeros(2, 3, 60, 80))  # black images have no gradient by their places
    losses = losses_of(zoomed.images, hot((4, 6)), [0.0, 1.0])
    teacher.observe(losses)
    (scale * losses.mean()).backward()

    check_close(zoom.saliency.network.logits.grad / scale, whole, 1e-5)


def test_micro_batches_and_earlier_images():
    """What was zoomed in parts, or before, or in evaluation is not mixed up: the images of the batch count, in their order."""
    zoom, teacher = taught(count=3)
    image, gradient, values = torch.ones(3, 3, 60, 80), hot((4, 6), count=3), torch.tensor([0.0, 1.0, 2.0])
    whole, _ = lesson(zoom, teacher, gradient, values, images=image)
    zoom(image[:1])  # a batch that was thrown away
    parts = [
        zoom(image).images[:1],
        zoom(image).images,
    ]  # the last three count, whatever was made with the others
    zoom.eval()
    zoom(image)
    with torch.no_grad():
        zoom.train()(image)
    losses = losses_of(parts[1], gradient, values)
    teacher.observe(losses)
    slope = torch.autograd.grad(losses.mean(), zoom.saliency.network.logits)[0]

    check_close(slope, whole, 1e-6)


def mean_lesson(zoom, teacher, batches):
    """Return what each batch is taught, after one backward through all of them."""
    total, network = 0, zoom.saliency.network
    for images, values in batches:
        losses = losses_of(images, hot((4, 6), count=len(images)), values)
        teacher.observe(losses)
        total = total + losses.mean()
    network.zero_grad()
    total.backward()
    return network.logits.grad


def test_several_batches_before_one_backward():
    """Each batch is taught by its own losses, whether they are zoomed in turn, all first, or one ahead, as a prefetcher does."""
    zoom, teacher = taught()
    image, values = torch.ones(2, 3, 60, 80), [torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5])]
    alone = [mean_lesson(zoom, teacher, [(zoom(image).images, each)]) for each in values]
    in_turn = mean_lesson(zoom, teacher, ((zoom(image).images, each) for each in values))
    zoomed = [zoom(image).images for _ in values]
    all_first = mean_lesson(zoom, teacher, zip(zoomed, values, strict=True))
    first, second = zoom(image).images, zoom(image).images
    ahead = [
        mean_lesson(zoom, teacher, [(first, values[0])]),
        mean_lesson(zoom, teacher, [(second, values[1])]),
    ]

    for found in (in_turn, all_first, sum(ahead)):
        check_close(found, sum(alone), 1e-6)
    check_close(ahead[0], alone[0], 1e-6)


def test_a_second_loss_does_not_teach():
    """Each image is taught once; a loss that was not observed is evidence of nothing."""
    zoom, teacher = taught()
    images = zoom(torch.ones(2, 3, 60, 80)).images
    losses = losses_of(images, hot((4, 6)), [0.0, 0.0])
    teacher.observe(losses)
    losses.mean().backward(retain_graph=True)
    before = zoom.saliency.network.logits.grad.clone()
    images.square().mean().backward()

    assert before.any()
    check_close(zoom.saliency.network.logits.grad, before, 1e-7)


def test_several_losses_of_the_same_images():
    """Each counts as much as it is sure: shares of one loss teach what the loss teaches, and one that knows nothing takes nothing away."""
    zoom, teacher = taught()
    image, values = torch.ones(2, 3, 60, 80), [0.0, 1.0]
    whole = mean_lesson(zoom, teacher, [(zoom(image).images, values)])
    images = zoom(image).images
    losses = [losses_of(images, hot((4, 6)), values) for _ in range(2)]
    unsure = losses_of(images, hot((4, 6)), [50.0, 50.0])
    for each in (*losses, unsure):
        teacher.observe(each)
    zoom.zero_grad()
    (0.3 * losses[0].mean() + 0.7 * losses[1].mean() + unsure.mean()).backward()

    check_close(zoom.saliency.network.logits.grad, whole, 1e-6)


@pytest.mark.parametrize("where", ["classifier", "images"])
def test_a_backward_that_ends_early_leaves_nothing(where):
    """A gradient by the classifier or the images alone does not teach, neither then nor in the backward of another loss."""
    zoom, teacher = taught()
    images, weight = zoom(torch.zeros(2, 3, 60, 80)).images, torch.ones((), requires_grad=True)
    losses = losses_of(images * weight, hot((4, 6)), [0.0, 0.0])
    teacher.observe(losses)
    torch.autograd.grad(losses.sum(), weight if where == "classifier" else images, retain_graph=True)
    images.square().mean().backward()

    assert not zoom.saliency.network.logits.grad.any()


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_a_gradient_penalty(penalty):
    """A penalty of the gradient by the images, or a backward that keeps its graph, changes nothing of the lesson."""
    zoom, teacher = taught()
    whole, _ = lesson(zoom, teacher, hot((4, 6)), [0.0, 1.0], images=torch.zeros(2, 3, 60, 80))
    images = zoom(torch.zeros(2, 3, 60, 80)).images
    losses = losses_of(images, hot((4, 6)), [0.0, 1.0])
    teacher.observe(losses)
    (slope,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
    total = losses.mean() + penalty * slope.square().sum()
    (found,) = torch.autograd.grad(total, zoom.saliency.network.logits, create_graph=True)

    check_close(found, whole, 1e-6)


def test_a_copy_is_not_taught():
    """The copy of a zoom learns by its own gradient alone, unless its teacher is copied with it."""
    zoom, teacher = taught()
    images = torch.zeros(2, 3, 60, 80)
    alone, (both, its) = copy.deepcopy(zoom), copy.deepcopy((zoom, teacher))
    losses = losses_of(alone(images).images, hot((4, 6)), [0.0, 0.0])
    with pytest.raises(ValueError, match="got none in their graph"):
        teacher.observe(losses)
    losses.mean().backward()

    assert not alone.saliency.network.logits.grad.any()
    assert lesson(both, its, hot((4, 6)), [0.0, 0.0])[0].any()


def test_losses_without_backward_are_told_of():
    """After a hundred batches whose observed losses had no backward a warning comes, once; a single backward now and then is enough."""
    zoom, teacher = taught()
    image = torch.zeros(2, 3, 60, 80)
    message = (
        r"^the losses of 100 batches were observed, and no backward went through them, so nothing was taught – give "
        r"EvidenceTeacher\.observe the tensor that backward goes through, or call close\(\)\.$"
    )

    def observe(batches: int) -> torch.Tensor:
        for _ in range(batches):
            losses = losses_of(zoom(image).images, hot((4, 6)), [0.0, 0.0])
            teacher.observe(losses)
        return losses

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        observe(90).mean().backward()
        observe(100)
    with pytest.warns(UserWarning, match=message) as told:
        observe(150)
    assert len(told) == 1


def test_images_may_be_changed_in_place():
    """What a loop does with its images, it may do in place, and their gradient is right."""
    slopes = []
    for in_place in (True, False):
        zoom, teacher = taught()
        images = zoom(torch.rand(2, 3, 60, 80, generator=torch.Generator().manual_seed(0))).images
        images = images.mul_(2).sub_(1) if in_place else images * 2 - 1
        losses = losses_of(images, hot((4, 6)), [0.0, 0.0])
        teacher.observe(losses)
        losses.mean().backward()
        slopes.append(zoom.saliency.network.logits.grad)

    check_close(slopes[0], slopes[1], 1e-7)
