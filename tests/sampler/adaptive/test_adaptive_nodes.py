"""Lists of nodes and layers on them, compared with their definition in plain Python."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foveal.sampler import Nodes, node_lists, on_nodes
from foveal.sampler.adaptive import _node_layers
from foveal.sampler.adaptive._levels import snapped
from foveal.sampler.saliency import BasicBlock
from tests.checks import check_close, unhooked
from tests.sampler.masks import any_levels, as_mask, coarsest, conv_by_hand, node_at, nodes_of

pytestmark = pytest.mark.usefixtures("one_thread")

# The upper left 4 x 4 halved twice, one 2 x 2 beside it once, the rest fine; 5 x 7 cells.
LEVELS = np.zeros((1, 5, 7), np.int64)
LEVELS[0, :4, :4] = 2
LEVELS[0, :2, 4:6] = 1


def random_nodes(levels, strides, channels, seed=0, dtype=torch.float64):
    count = len(nodes_of(levels, strides)[0])
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, channels, generator=generator, dtype=dtype)
    return Nodes(features, node_lists(as_mask(levels)), strides)


@settings(max_examples=60, deadline=None)
@given(any_levels(), st.integers(0, 3))
def test_lists_are_the_definitions(levels, strides):
    """Nodes, their order, the limits of samples and the node of each cell are those of the definition."""
    nodes = node_lists(as_mask(levels)).after(strides)
    order, numbers = nodes_of(levels, strides)

    assert list(zip(nodes.sample.tolist(), nodes.row.tolist(), nodes.col.tolist(), strict=True)) == order
    assert len(nodes) == len(order)
    assert nodes.offsets == [sum(place[0] < k for place in order) for k in range(len(levels) + 1)]
    for place, number in np.ndenumerate(nodes.lookup.numpy()):
        assert number == numbers[node_at(levels, strides, *place)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(1, 11), st.integers(1, 11), st.integers(0, 3))
def test_snapped_is_the_coarsest(seed, rows, cols, most):
    """A block is coarse exactly if all of its cells may be."""
    rng = np.random.default_rng(seed)
    wanted = np.maximum(rng.integers(0, most + 1, (rows, cols)), (rng.random((rows, cols)) < 0.8) * most)
    mask = snapped(torch.from_numpy(wanted)[None, None])

    assert np.array_equal(mask[0, 0].numpy(), coarsest(wanted))
    node_lists(mask)


def test_the_order_is_finest_first():
    """Nodes are sorted by level, finest first, and within a level in raster order."""
    nodes = node_lists(as_mask(np.concatenate([LEVELS, LEVELS]))).after(2)

    assert len(nodes) == 2 * (15 + 1 + 1)
    assert nodes.offsets == [0, 17, 34]
    assert (nodes.row[15:17].tolist(), nodes.col[15:17].tolist()) == ([0, 0], [4, 0])


@settings(max_examples=25, deadline=None)
@given(
    any_levels(),
    st.integers(0, 2),
    st.sampled_from([(1, 1, 1), (1, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 2, 2)]),
)
def test_convolutions_are_the_definition(levels, strides, kind):
    """Any kernel, stride and dilation on any mask gives the result of a tap-by-tap loop in NumPy."""
    size, stride, dilation = kind
    conv = nn.Conv2d(3, 4, size, stride, padding=dilation * (size // 2), dilation=dilation).double()
    nodes = random_nodes(levels, strides, 3)
    weight, bias = (p.detach().numpy() for p in (conv.weight, conv.bias))
    expected = conv_by_hand(
        nodes.features.numpy(), levels, strides, weight, bias, stride=stride, dilation=dilation
    )
    made = on_nodes(conv, nodes)

    check_close(made.features, expected, 1e-12)
    assert made.strides == strides + stride - 1


def test_a_tap_that_is_a_cell_off_is_noticed():
    """The oracle's result differs for another dilation."""
    conv = nn.Conv2d(3, 4, 3, padding=1).double()
    nodes = random_nodes(LEVELS, 1, 3)
    weight, bias = (p.detach().numpy() for p in (conv.weight, conv.bias))
    wrong = conv_by_hand(nodes.features.numpy(), LEVELS, 1, weight, bias, dilation=2)

    with pytest.raises(AssertionError):
        check_close(on_nodes(conv, nodes).features, wrong, 1e-3)


def test_groups_are_kept():
    """If nothing is coarse, a depthwise convolution is the ordinary one."""
    conv = nn.Conv2d(4, 4, 3, padding=1, groups=4).double()
    image = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    rows = image.permute(0, 2, 3, 1).reshape(-1, 4)
    made = on_nodes(conv, Nodes(rows, node_lists(torch.zeros(2, 1, 5, 6)), 0))

    check_close(made.dense(), conv(image), 1e-12)


def test_statistics_are_those_of_the_nodes():
    """Batch norm counts every node once, whatever its sample or level."""
    levels = np.stack([coarsest(np.full((8, 8), 2)), coarsest(np.zeros((8, 8), np.int64))])
    nodes = random_nodes(levels, 2, 3)
    features = nodes.features.numpy()
    norm = nn.BatchNorm2d(3, momentum=1.0).double()
    made = on_nodes(norm, nodes).features

    assert len(features) == 4 + 64
    check_close(made, (features - features.mean(0)) / np.sqrt(features.var(0) + norm.eps), 1e-12)
    check_close(norm.running_mean, features.mean(0), 1e-12)
    check_close(norm.running_var, features.var(0, ddof=1), 1e-12)


def test_dense_repeats_the_nodes():
    """Each cell of the dense map has the features of its node."""
    nodes = random_nodes(LEVELS, 2, 3)
    dense = nodes.dense()

    assert dense.shape == (1, 3, 5, 7)
    check_close(dense[0, :, :4, :4], nodes.features[16][:, None, None].expand(3, 4, 4), 0)
    check_close(dense[0, :, 4, 6], nodes.features[14], 0)


@pytest.mark.parametrize("kind", [(3, 1), (3, 2), (1, 2)])
def test_gradients_of_gathers(kind):
    """Gradients of features and weights agree with finite differences, also for convolutions that share nodes."""
    size, stride = kind
    conv = nn.Conv2d(2, 3, size, stride, padding=size // 2).double()
    nodes = random_nodes(LEVELS, 1 if stride == 1 else 0, 2)

    def run(features, weight, bias):
        given = {"conv.weight": weight, "conv.bias": bias}
        return torch.func.functional_call(_OnNodes(conv, nodes), given, (features,))

    inputs = [t.detach().clone().requires_grad_() for t in (nodes.features, conv.weight, conv.bias)]
    assert torch.autograd.gradcheck(run, inputs)


def test_what_was_gathered_is_not_kept(monkeypatch):
    """Backward gathers features again, so that nine copies of them are not kept."""
    calls = []
    as_lines = _node_layers._as_lines
    monkeypatch.setattr(_node_layers, "_as_lines", lambda *args: calls.append(args) or as_lines(*args))
    out = on_nodes(nn.Conv2d(2, 3, 3, padding=1).double(), random_nodes(LEVELS, 1, 2))

    assert len(calls) == 1
    out.features.sum().backward()
    assert len(calls) == 2


class _OnNodes(nn.Module):
    def __init__(self, conv, nodes):
        super().__init__()
        self.conv, self.nodes = conv, nodes

    def forward(self, features):
        return on_nodes(self.conv, Nodes(features, self.nodes.lists, self.nodes.strides)).dense()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(1, 4, 4), "mask must be (batch, 1, rows, cols), got shape (1, 4, 4) – one level"),
        (
            torch.full((1, 1, 2, 2), 0.5),
            "mask must be whole numbers from 0 on, got values from 0.5 to 0.5 – how many",
        ),
        (
            -torch.ones(1, 1, 2, 2),
            "mask must be whole numbers from 0 on, got values from -1.0 to -1.0 – how many",
        ),
        (
            torch.tensor([[[[1, 1, 1], [1, 1, 0]]]]),
            "mask must be 1 on whole blocks of 2 x 2, got a broken one at (sample, row, col) (0, 0, 2) – saliency_mask",
        ),
    ],
)
def test_what_is_no_mask(mask, message):
    """Shape, values and blocks of a mask are checked, and the message says what to do."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        node_lists(mask)


def test_a_block_may_be_cut_off_by_the_edge():
    """For odd sizes, the part of a block inside the image counts."""
    assert len(node_lists(torch.ones(1, 1, 3, 5)).after(1)) == 2 * 3


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(2, 2, 3),
        nn.Conv2d(2, 2, 2),
        nn.Conv2d(2, 2, (1, 3), padding=(0, 1)),
        nn.Conv2d(2, 2, 3, stride=4, padding=1),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 2, 3, padding="same"),
    ],
)
def test_convolutions_that_do_not_fit(conv):
    """A convolution that would change the size, or read nodes that do not exist, is refused."""
    with pytest.raises(
        ValueError, match=r"convolution must have a square kernel .* got Conv2d\(2, 2, .*only these can"
    ):
        on_nodes(conv, random_nodes(LEVELS, 0, 2, dtype=torch.float32))


def test_layers_that_do_not_know_of_nodes():
    """A norm over positions would mix samples, and is refused."""
    message = "module must be a convolution, a batch norm, an activation or a residual block, got GroupNorm – other layers"
    with pytest.raises(TypeError, match=message):
        on_nodes(nn.GroupNorm(1, 2), random_nodes(LEVELS, 0, 2))


@pytest.mark.parametrize("part", [nn.SiLU(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Sigmoid())])
def test_blocks_with_other_parts(part):
    """A residual block with another activation than ReLU, or with an attention, is refused instead of run without it."""
    block = BasicBlock(2, 2, 1, (1, 1))
    nodes = random_nodes(LEVELS, 0, 2, dtype=torch.float32)
    block.act1 = nn.ReLU()
    on_nodes(block, nodes)
    block.other = part
    message = f"block of convolutions, batch norms and ReLU alone, got BasicBlock with other={type(part).__name__} – its results"
    with pytest.raises(TypeError, match=message):
        on_nodes(block, nodes)
