"""Points in the frame that all grids share."""

import pytest
import torch

from foveal.sampler.frames import outer_grid
from tests.checks import check_close, check_operator

pytestmark = pytest.mark.usefixtures("one_thread")


def lines(batch, height, width, dtype=torch.float64):
    draw = torch.Generator().manual_seed(height)
    return (2 * torch.rand(batch, n, dtype=dtype, generator=draw) - 1 for n in (width, height))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("batch", "height", "width"), [(2, 5, 7), (1, 1, 9), (3, 4, 1), (0, 3, 2)])
def test_columns_stand_at_x_and_rows_at_y(batch, height, width, dtype):
    """Point (i, j) is (x[j], y[i]) exactly, with and without gradients, and its gradients are sums over columns and rows."""
    x, y = (line.requires_grad_() for line in lines(batch, height, width, dtype))
    grid = outer_grid(x, y)
    expected = torch.stack([x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)], dim=-1)
    weights = torch.randn(grid.shape, dtype=dtype).movedim(-1, 0).contiguous().movedim(0, -1)
    ours, theirs = (torch.autograd.grad(each, (x, y), weights) for each in (grid, expected))

    assert torch.equal(grid, expected)
    assert torch.equal(outer_grid(x.detach(), y.detach()), expected)
    assert grid.is_contiguous()
    for one, other in zip(ours, theirs, strict=True):
        check_close(one, other, 1e-6 if dtype == torch.float32 else 1e-13)


def test_derivatives():
    """First and second derivatives agree with finite differences, also if only one line requires a gradient."""
    x, y = (line.requires_grad_() for line in lines(2, 3, 4))

    assert torch.autograd.gradcheck(outer_grid, (x, y))
    assert torch.autograd.gradgradcheck(lambda a, b: outer_grid(a, b).sin(), (x, y))
    assert torch.autograd.gradcheck(lambda a: outer_grid(a, y.detach()), x)
    check_operator(outer_grid, x.detach(), y.detach())
