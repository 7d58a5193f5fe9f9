"""The U-Net for training by boxes."""

import pytest
import torch

from foveal.sampler import SaliencySampler, SaliencyUNet
from tests.checks import check_close

pytestmark = pytest.mark.usefixtures("one_thread")


def trained(map_size=(31, 31)):
    """Return a network whose map is not uniform."""
    torch.manual_seed(0)
    net = SaliencyUNet(map_size)
    torch.nn.init.normal_(net.head.weight)
    return net.eval()


def test_a_new_one_does_not_zoom():
    """The map of a new network is uniform, and its last layer has a gradient."""
    net = SaliencyUNet((9, 14))
    logits = net(torch.rand(2, 3, 64, 96))

    assert logits.shape == (2, 1, 9, 14)
    assert not logits.any()
    (logits * torch.rand_like(logits)).sum().backward()
    assert net.head.weight.grad.any()


@torch.no_grad()
def test_an_image_has_the_same_map_in_any_batch():
    """The map of an image does not depend on the batch."""
    net, images = trained(), torch.rand(3, 3, 128, 128)

    check_close(net(images)[1:2], net(images[1:2]), 1e-5)


@torch.no_grad()
def test_a_checkpoint_makes_it_again(tmp_path):
    """A checkpoint restores map size and weights."""
    zoom = SaliencySampler(16, saliency=trained((9, 14)))
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt")
    images = torch.rand(2, 3, 60, 80)

    assert isinstance(again.saliency, SaliencyUNet)
    assert torch.equal(again.eval()(images).images, zoom.eval()(images).images)
