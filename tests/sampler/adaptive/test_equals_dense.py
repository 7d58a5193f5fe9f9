"""A network whose resolution follows a mask equals dense networks where these are defined."""

import pytest
import torch

from tests.sampler.adaptive.networks import DEPTHS, batch, check_equal, dense, trained

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = [(64, 96), (56, 88), (72, 40)]  # 8 x 12, 7 x 11 and 9 x 5 cells


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
