"""The softmax that turns logits into a map."""

import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveal.sampler import MixedResolution, PatchSampler, SaliencySampler
from foveal.sampler.saliency import softmax_map
from tests.checks import check_close


class Logits(torch.nn.Module):
    """Returns the same logits for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, small):
        return self.logits.expand(len(small), -1, -1, -1)


@given(st.integers(1, 5), st.integers(1, 7), st.floats(0.05, 4))
def test_it_is_scipys(rows, cols, temperature):
    """The map is scipy's softmax over the whole map, of logits divided by the temperature."""
    logits = 3 * torch.randn(2, 1, rows, cols, generator=torch.Generator().manual_seed(rows + cols))
    expected = scipy.special.softmax(logits.double().numpy() / temperature, axis=(1, 2, 3))

    check_close(softmax_map(logits, temperature), torch.from_numpy(expected).float(), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype):
    """Half-precision logits give a float32 map, also under autocast."""
    logits = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shares = softmax_map(logits, 0.5)

    assert torch.equal(shares, softmax_map(logits.float(), 0.5))
    assert softmax_map(logits.double()).dtype == torch.float64


@pytest.mark.parametrize(
    "zoom",
    [
        lambda net: SaliencySampler(4, saliency=net),
        lambda net: MixedResolution(2, refined=1, saliency=net),
        lambda net: PatchSampler(1, 4, score=net, lowres_size=16),
    ],
)
def test_every_sampler_has_it(zoom):
    """All samplers turn the same logits into the same map."""
    logits = torch.randn(1, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(1, 3, 20, 20)

    assert torch.equal(zoom(Logits(logits))(image).saliency, softmax_map(logits))
