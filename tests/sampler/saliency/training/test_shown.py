"""Which images a lesson reaches, on which scale, and how often."""

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
