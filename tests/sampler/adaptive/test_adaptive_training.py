"""A network whose resolution follows a mask learns, and so does its mask."""

import pytest
import torch
from torch import nn

from foveal.sampler import (
    AdaptiveDownsample,
    AdaptiveResNet,
    LearnedMask,
    budget_loss,
)
from tests.checks import check_close
from tests.sampler.adaptive.networks import batch, dense, trained

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own use
def test_transforms_of_torch():
    """torch.func.grad gives a mask and features what backward gives them, and jvp the same slope."""
    torch.manual_seed(0)
    stages = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1)).double()
    module = AdaptiveDownsample(stages).requires_grad_(False)
    fine, mask = torch.rand(1, 3, 16, 16, dtype=torch.float64), torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    mask[..., :8] = 1
    weights = torch.randn(8, 16, 16, dtype=torch.float64)

    def total(mask, fine):
        return (module(fine, mask) * weights).sum()

    leaves = mask.clone().requires_grad_(), fine.clone().requires_grad_()
    expected = torch.autograd.grad(total(*leaves), leaves)
    found = torch.func.grad(total, argnums=(0, 1))(mask, fine)
    for one, other in zip(found, expected, strict=True):
        check_close(one, other, 1e-12)
    ways = torch.randn_like(mask), torch.randn_like(fine)
    slope = torch.func.jvp(total, (mask, fine), ways)[1]
    check_close(slope, sum((way * by).sum() for way, by in zip(ways, expected, strict=True)), 1e-9)
