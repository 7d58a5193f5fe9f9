"""Convolutions with replicated borders."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import pad

from foveal.sampler.saliency._edge_conv import EdgeConv2d, edge_padded


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))
def test_a_graph_pads_as_torch_does(height, width, reach):
    """The form for compiled graphs has the values and derivatives of torch's padding."""
    image = torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    expected = pad(image, (reach,) * 4, mode="replicate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        found = edge_padded(image, reach)
    by_pixels = torch.rand_like(found)

    assert torch.equal(found, expected)
    ours, theirs = (torch.autograd.grad(padded, image, by_pixels)[0] for padded in (found, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("stride", "size", "groups"), [(4, 6, 1), (2, 3, 6), (1, 3, 1)])
def test_it_is_torchs_convolution(stride, size, groups):
    """The weights of a Conv2d with replicated borders load, and give the same features."""
    theirs = nn.Conv2d(
        6, 12, size, stride, padding=size // 2, groups=groups, bias=False, padding_mode="replicate"
    )
    ours = EdgeConv2d(6, 12, size, stride, padding=size // 2, groups=groups)
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(2, 6, 24, 16)

    assert torch.equal(ours(image), theirs(image))
