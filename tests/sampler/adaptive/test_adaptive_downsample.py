"""A network whose resolution follows a mask: it equals dense networks where these are defined, and it learns."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    AdaptiveDownsample,
    AdaptiveResNet,
    DilatedResNet,
    LearnedMask,
    budget_loss,
    edge_mask,
    saliency_mask,
)
from foveal.sampler.adaptive._levels import snapped
from tests.checks import check_close, unhooked

pytestmark = pytest.mark.usefixtures("one_thread")

DEPTHS = [18, 50]
SIZES = [(64, 96), (56, 88), (72, 40)]  # 8 x 12, 7 x 11 and 9 x 5 cells


def trained(depth, output_stride=16, seed=0, dtype=torch.float32):
    """Return an adaptive network whose batch norms have statistics, with features of about unit size."""
    torch.manual_seed(seed)
    net = AdaptiveResNet(depth, width=8, output_stride=output_stride).to(dtype)
    net.train()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean of what it sees
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.2)
        net(*batch((64, 96), dtype=dtype, levels=1))
    return net.eval()


def batch(size, *, dtype=torch.float32, levels=1, count=2):
    """Return images, and a different mask for each."""
    generator = torch.Generator().manual_seed(size[0])
    images = torch.randn(count, 3, *size, generator=generator, dtype=dtype)
    cells = (-(-size[0] // 8), -(-size[1] // 8))
    wanted = levels * (torch.rand(count, 1, *cells, generator=generator) > 0.05).long()
    return images, snapped(wanted)


def dense(net, output_stride):
    """Return the ordinary network with the same weights, in the precision of these."""
    weights = net.state_dict()
    other = DilatedResNet.from_weights(weights, output_stride=output_stride).to(net.conv1.weight.dtype)
    other.load_state_dict(weights)
    return other.eval()


def check_equal(actual, expected, tolerance=1e-5):
    """Check that no value differs by more than this fraction of the largest."""
    largest = expected.abs().max()
    check_close(actual / largest, expected / largest, tolerance)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_nothing_halved_is_the_dilated_network(depth, size):
    """With a mask of zeros, the network equals the one at stride 8 whose strides are replaced by dilation."""
    net = trained(depth)
    images, mask = batch(size)

    check_equal(net(images, torch.zeros_like(mask)), dense(net, 8)(images))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_all_halved_is_the_strided_network(depth, size):
    """With a mask of ones, it equals the network at stride 16 with each cell repeated, also for odd sizes."""
    net = trained(depth)
    images, mask = batch(size)
    coarse = dense(net, 16)(images).repeat_interleave(2, 2).repeat_interleave(2, 3)

    check_equal(net(images, torch.ones_like(mask)), coarse[:, :, : mask.shape[2], : mask.shape[3]])


@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_two_strides(depth):
    """With strides up to 32, masks of 0, 1 and 2 give the networks at stride 8, 16 and 32."""
    net = trained(depth, output_stride=32)
    images, mask = batch((72, 96))
    for level, stride in ((0, 8), (1, 16), (2, 32)):
        coarse = dense(net, stride)(images)
        repeated = coarse.repeat_interleave(2**level, 2).repeat_interleave(2**level, 3)
        check_equal(net(images, torch.full_like(mask, level)), repeated[:, :, :9, :12])


@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_batched_is_one_by_one(depth):
    """In evaluation, a sample's features do not depend on other samples with another number of nodes."""
    net = trained(depth, output_stride=32)
    images, mask = batch((72, 96), levels=2)

    assert mask[0].sum() != mask[1].sum()
    assert set(mask.unique().tolist()) == {0, 1, 2}
    apart = torch.cat([net(images[k : k + 1], mask[k : k + 1]) for k in range(2)])
    check_equal(net(images, mask), apart)


@torch.no_grad()
def test_the_equalities_are_exact_in_float64():
    """In float64 the difference vanishes, so in float32 it is rounding."""
    net = trained(18, dtype=torch.float64)
    images, mask = batch((56, 88), dtype=torch.float64)

    check_equal(net(images, torch.zeros_like(mask)), dense(net, 8)(images), 1e-12)


@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_coarse_cells_are_the_strided_network_whatever_the_mask(depth):
    """Coarse cells equal the strided network, whatever fine cells are beside them."""
    net = trained(depth)
    images, mask = batch((56, 88))
    mixed, coarse = net(images, mask), dense(net, 16)(images)
    repeated = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :7, :11]

    assert 0 < mask.float().mean() < 1
    check_equal(mixed[:, :, ::2, ::2], coarse)
    check_equal(mixed * mask, repeated * mask)


@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_fine_cells_are_the_dilated_network_away_from_coarse_ones(depth):
    """Fine cells equal the dilated network except within reach of coarse ones."""
    net = trained(depth)
    images = torch.randn(1, 3, 64, 1024)
    mask = torch.zeros(1, 1, 8, 128)
    mask[..., 64:] = 1
    mixed, fine = net(images, mask), dense(net, 8)(images)

    check_equal(mixed[..., :32], fine[..., :32])
    assert (mixed[..., 60:64] - fine[..., 60:64]).abs().max() > 1e-2 * fine.abs().max()


@pytest.mark.parametrize("depth", DEPTHS)
@torch.no_grad()
def test_dilation_is_the_strided_network_at_every_place(depth):
    """The dilated network at every second or fourth cell equals the strided one, for both kinds of block."""
    net = trained(depth)
    images, _ = batch((64, 96))
    fine = dense(net, 8)(images)

    check_equal(fine[:, :, ::2, ::2], dense(net, 16)(images))
    check_equal(fine[:, :, ::4, ::4], dense(net, 32)(images))


def test_a_difference_is_noticed():
    """The check notices a relative difference of 1e-4."""
    with pytest.raises(AssertionError):
        check_equal(1.0001 * torch.ones(2), torch.ones(2))


def test_names_are_torchvisions():
    """A ResNet-50 has torchvision's 318 names without fc's two, and 23,508,032 weights; a ResNet-18 11,176,512."""
    for depth, names, weights in ((18, 120, 11_176_512), (50, 318, 23_508_032)):
        net = AdaptiveResNet(depth)
        state = net.state_dict()

        assert len(state) == names
        assert sum(p.numel() for p in net.parameters()) == weights
        assert {"layer3.0.downsample.1.running_var", "layer4.1.bn2.num_batches_tracked", "bn1.bias"} <= set(
            state
        )


@pytest.mark.parametrize("depth", DEPTHS)
def test_from_weights_reads_the_architecture(depth):
    """Kind, number and width of the blocks are read from the weights; a classifier's weights are left out."""
    weights = DilatedResNet(depth, width=8).state_dict()
    net = AdaptiveResNet.from_weights(
        weights | {"fc.weight": torch.zeros(1000, 3), "fc.bias": torch.zeros(1000)}, output_stride=32
    )

    assert net.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert net.channels == (64 if depth == 18 else 256)


def test_batch_statistics_are_those_of_the_nodes():
    """In training, the first norm after the stride has mean and variance over the nodes of both samples."""
    net = AdaptiveResNet(18, width=8).double().train()
    images, mask = batch((64, 96), dtype=torch.float64)
    seen = []
    net.layer3[0].bn1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    net.layer3[0].bn1.momentum = 1.0
    net(images, mask)
    values = seen[0].flatten(1).numpy()
    kept = int((mask == 0).sum() + (mask == 1).sum() // 4)

    assert values.shape == (kept, 32)
    check_close(net.layer3[0].bn1.running_mean, values.mean(0), 1e-12)
    check_close(net.layer3[0].bn1.running_var, values.var(0, ddof=1), 1e-12)


def test_gradients_reach_weights_and_features():
    """All weights of stages and stem have a gradient, and a step with Adam lowers the loss."""
    net = AdaptiveResNet(18, width=8).train()
    images, mask = batch((64, 96))
    net(images, mask).square().mean().backward()

    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_the_dense_networks(training):
    """If nothing is halved, all gradients equal the dilated network's, also through batch statistics."""
    net = trained(18, dtype=torch.float64).train(training)
    fine = dense(net, 8).train(training)
    images, mask = batch((40, 56), dtype=torch.float64)
    weights = torch.randn(2, 64, 5, 7, dtype=torch.float64)
    (net(images, torch.zeros_like(mask)) * weights).sum().backward()
    (fine(images) * weights).sum().backward()
    pairs = zip(net.parameters(), fine.parameters(), strict=True)

    for ours, theirs in pairs:
        check_close(ours.grad / theirs.grad.abs().max(), theirs.grad / theirs.grad.abs().max(), 1e-9)


def test_gradient_of_a_mask():
    """The gradient of a mask is the difference of the coarse and the fine network, and the output does not change."""
    net = trained(18, dtype=torch.float64)
    images, mask = batch((64, 96), dtype=torch.float64)
    leaf = mask.double().requires_grad_()
    weights = torch.randn(2, 64, 8, 12, dtype=torch.float64)
    out = net(images, leaf)
    (out * weights).sum().backward()
    with torch.no_grad():
        slope = net(images, torch.ones_like(mask)) - net(images, torch.zeros_like(mask))

    check_close(out, net(images, mask), 0)
    check_close(leaf.grad, (slope * weights).sum(1, keepdim=True), 1e-10)


def test_gradient_of_a_mask_leaves_the_statistics_alone():
    """The dense passes for a mask's gradient do not update running statistics."""
    nets = [AdaptiveResNet(18, width=8).train() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    images, mask = batch((64, 96))
    nets[0](images, mask)
    nets[1](images, mask.float().requires_grad_())

    for (name, ours), theirs in zip(nets[1].named_buffers(), nets[0].buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_mask_is_learned_towards_its_budget():
    """With only the budget's loss, three quarters of the cells become coarse; without it, about half."""
    torch.manual_seed(0)
    net, decide = AdaptiveResNet(18, width=8), LearnedMask(16)
    images, _ = batch((64, 64))
    fine = net.fine(images).detach()
    optimiser = torch.optim.Adam(decide.parameters(), 4e-3)
    before = decide(fine).mean().item()
    for _ in range(24):
        loss = budget_loss(decide(fine), 0.75)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = torch.stack([decide(fine).mean() for _ in range(20)]).mean()

    assert 0.2 < before < 0.7
    assert abs(after.item() - 0.75) < 0.1


def test_any_resnet_of_torchvisions_names():
    """Any ResNet with torchvision's names works, also if its blocks have a ReLU of their own."""

    class Foreign(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
            self.relu = nn.ReLU(inplace=True)
            self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
            self.downsample = nn.Sequential(nn.Conv2d(4, 4, 1, 2, bias=False), nn.BatchNorm2d(4))
            self.stride = 2

        def forward(self, x):
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(out + self.downsample(x))

    block = Foreign().eval()
    image = torch.randn(1, 4, 6, 8)

    check_close(AdaptiveDownsample(block)(image, torch.ones(1, 1, 6, 8))[:, :, ::2, ::2], block(image), 1e-5)


@torch.no_grad()
def test_autocast():
    """Under autocast, the output is the same to half precision."""
    net = trained(18)
    images, mask = batch((64, 96))
    with torch.autocast("cpu", torch.bfloat16):
        half = net(images, mask)

    assert half.dtype == torch.bfloat16
    check_equal(half.float(), net(images, mask), 0.05)


def test_nodes_are_fewer():
    """With a quarter of the cells fine, 7 of 16 nodes are left."""
    net = trained(18)
    mask = saliency_mask(torch.rand(1, 1, 8, 12), (8, 12), keep=0.25)
    nodes = AdaptiveDownsample(net.layer3, net.layer4).nodes(torch.zeros(1, 16, 8, 12), mask)

    assert len(nodes.features) == 96 * 7 // 16


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            torch.zeros(1, 1, 4, 4),
            "mask must be (2, 1, 8, 12), one level for each cell of the features, got shape (1, 1, 4, 4).",
        ),
        (torch.full((2, 1, 8, 12), 2), "mask must be at most 1, the strides there are, got 2."),
        (
            torch.full((2, 1, 8, 12), torch.nan),
            "mask must be whole numbers from 0 on, got values from nan to nan – how many times",
        ),
        (torch.full((2, 1, 8, 12), torch.inf), "mask must be at most 1, the strides there are, got inf."),
    ],
)
def test_masks_that_do_not_fit(mask, message):
    """A mask of another size, with more levels than strides, or that is not finite, is refused."""
    net = AdaptiveResNet(18, width=8)
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        AdaptiveDownsample(net.layer3, net.layer4)(torch.zeros(2, 16, 8, 12), mask)


def test_stages_without_a_stride():
    """A network without strides is refused."""
    net = DilatedResNet(18, width=8, output_stride=8)
    with pytest.raises(
        ValueError, match=re.escape("stages must have a stride to adapt, got none – give the strided")
    ):
        AdaptiveDownsample(net.layer3, net.layer4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DilatedResNet(20),
            "depth must be one of [18, 34, 50, 101, 152], or the blocks of four stages, got 20.",
        ),
        (lambda: DilatedResNet(18, output_stride=4), "output_stride must be 8, 16 or 32, got 4."),
        (
            lambda: AdaptiveResNet(18, output_stride=8),
            "output_stride must be 16 or 32, coarser than 8, got 8.",
        ),
        (
            lambda: DilatedResNet.from_weights({"head.weight": torch.zeros(1)}),
            "weights must have conv1, layer1 to layer4, as torchvision names them, got ['head'].",
        ),
    ],
)
def test_arguments(build, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        build()


def test_other_depths():
    """Four block counts make a network of another depth."""
    net = DilatedResNet((1, 1, 2, 1), width=8, bottleneck=False)

    assert [len(stage) for stage in (net.layer1, net.layer2, net.layer3, net.layer4)] == [1, 1, 2, 1]
    assert net(torch.zeros(1, 3, 40, 56)).shape == (1, 64, 5, 7)
    assert np.prod(DilatedResNet(34).layer3[5].conv2.weight.shape) == 9 * 256 * 256


def test_no_images():
    """An empty batch has no features, and no error."""
    net, images = AdaptiveResNet(18).eval(), torch.zeros(0, 3, 64, 64)

    assert net(images, edge_mask(images)).shape == (0, 512, 8, 8)
