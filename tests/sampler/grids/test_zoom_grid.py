import math
import re

import numpy as np
import pytest
import torch

from foveal.sampler import zoom_grid
from foveal.sampler.grids._kernel_grid import kernel_nodes
from tests import reference
from tests.checks import check_close, check_grid, check_operator, unhooked
from tests.strategies import FAMILIES, PADDINGS, bump, softmax_map

MAPS = [(31, 31), (9, 14), (2, 5)]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", MAPS)
@pytest.mark.parametrize("fwhm", [13.0, 4.0])
def test_nodes_equal_the_dense_convolution(size, padding, fwhm):
    """T1: three small matrix products equal the padded two-dimensional convolution."""
    saliency = softmax_map(*size)
    expected = np.clip(reference.kernel_nodes(saliency[0, 0].numpy(), fwhm, padding), -1, 1)

    check_close(kernel_nodes(saliency, fwhm, padding)[0], expected, 1e-12)
    check_close(kernel_nodes(saliency.float(), fwhm, padding)[0], expected, 1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("nodes", "size"), [((31, 31), (224, 224)), ((9, 14), (17, 11)), ((7, 5), (1, 40)), ((31, 31), (12, 9))]
)
def test_grid_equals_the_oracle(nodes, size, padding):
    """For maps and outputs of any shape, the nodes are interpolated at the output's pixel centres."""
    saliency = softmax_map(*nodes)
    read = np.clip(reference.kernel_nodes(saliency[0, 0].numpy(), 8.0, padding), -1, 1)

    check_close(zoom_grid(saliency, size, padding=padding)[0], reference.grid_at_pixels(read, size), 1e-12)
    check_close(
        zoom_grid(saliency.float(), size, padding=padding)[0], reference.grid_at_pixels(read, size), 1e-5
    )


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [*MAPS, (1, 1), (1, 6), (6, 1)])
def test_uniform_saliency_changes_nothing(size, padding):
    """T2: uniform saliency gives the identity grid (align_corners=False), for any map size."""
    identity = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 3, 50, 70], align_corners=False)

    check_close(zoom_grid(torch.full((1, 1, *size), 0.2), (50, 70), padding=padding), identity, 3e-6)


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_single_line_leaves_its_own_axis_alone(padding):
    """A map of one row moves points along x as 31 equal rows do, and does not move them along y."""
    line = softmax_map(1, 31)

    check_close(
        zoom_grid(line, (9, 40), padding=padding),
        zoom_grid(line.expand(1, 1, 31, 31), (9, 40), padding=padding),
        1e-12,
    )


@pytest.mark.parametrize("scale", [1e-20, 3.0, 1e20])
def test_scale_does_not_matter(scale):
    """T4: the grid does not depend on the scale of the saliency."""
    saliency = softmax_map(31, 31)

    check_close(zoom_grid(scale * saliency, (20, 30)), zoom_grid(saliency, (20, 30)), 1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("largest", [1e-43, 1e-38, 3e38])
def test_any_scale_of_float32(family, largest):
    """Weights at either end of float32 draw the grid of the same weights in float64, and huge ones have a finite gradient."""
    saliency = (softmax_map(31, 31) / softmax_map(31, 31).max() * largest).float().requires_grad_()
    grid = zoom_grid(saliency, (20, 30), family=family)
    grid.square().sum().backward()

    check_close(grid, zoom_grid(saliency.detach().double(), (20, 30), family=family), 3e-6)
    assert largest < 1 or bool(saliency.grad.isfinite().all())


def test_jacobian_is_the_covariance():
    """T5: d(u, v) / d(x, y) = Cov(x', y') / sigma^2 under the weights S k, so the grid never folds."""
    saliency = softmax_map(11, 11)[0, 0].numpy()
    fwhm, reach, h = 5.0, 10, 1e-5
    sigma = fwhm / math.sqrt(8 * math.log(2))
    padded = np.pad(saliency, reach, "edge")
    cells = np.arange(-reach, 11 + reach)

    def weights(x, y):
        near = np.exp(-((cells - x) ** 2) / (2 * sigma**2)), np.exp(-((cells - y) ** 2) / (2 * sigma**2))
        share = padded * near[1][:, None] * near[0]
        return share / share.sum()

    def mean(x, y):
        share = weights(x, y)
        return np.array([(share * cells).sum(), (share * cells[:, None]).sum()])

    difference = np.stack([mean(4 + h, 6) - mean(4 - h, 6), mean(4, 6 + h) - mean(4, 6 - h)], axis=1) / (
        2 * h
    )
    share, (u, v) = weights(4, 6), mean(4, 6)
    dx, dy = cells - u, (cells - v)[:, None]
    covariance = np.array(
        [
            [(share * dx * dx).sum(), (share * dx * dy).sum()],
            [(share * dx * dy).sum(), (share * dy * dy).sum()],
        ]
    )

    check_close(difference, covariance / sigma**2, 1e-8)
    node = kernel_nodes(torch.from_numpy(saliency)[None, None], fwhm, "replicate")[0, :, 6, 4]
    check_close((node + 1) * 5, mean(4, 6), 1e-6)  # the window ends at p cells here, and runs on there


@pytest.mark.parametrize("fwhm", [0.5, 4.0, 8.0, 13.0])
@pytest.mark.parametrize("cell", [(0, 0), (0, 30), (15, 15), (30, 7)])
def test_one_hot_is_finite(cell, fwhm):
    """T7: grid and gradient are finite if all mass is in one cell, also if the Gaussian underflows."""
    saliency = torch.zeros(1, 1, 31, 31)
    saliency[0, 0, cell[0], cell[1]] = 1
    saliency.requires_grad_()
    grid = zoom_grid(saliency, (40, 50), fwhm_cells=fwhm)
    grid.square().sum().backward()

    check_grid(grid.detach())
    assert bool(saliency.grad.isfinite().all())


@pytest.mark.parametrize(
    ("amplitude", "covered"), [(0, 1.0), (2, 0.986), (4, 0.94), (6, 0.78), (8, 0.41), (12, 0.03)]
)
def test_replicate_crops_reflect_does_not(amplitude, covered):
    """T8: the visible width of the middle row, for a central bump of growing contrast: "replicate" crops, "reflect" does not."""
    for padding, expected in (("replicate", covered), ("reflect", 1.0)):
        row = kernel_nodes(bump(amplitude), 13.0, padding)[0, 0, 15]

        assert (row[-1] - row[0]).item() / 2 == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("padding", "place", "peak"),
    [("replicate", 15, 24.3), ("reflect", 15, 24.3), ("replicate", 27, 17.0), ("reflect", 27, 4.8)],
)
def test_the_price_of_reflect_is_magnification_near_the_border(padding, place, peak):
    """Both paddings magnify alike at the centre; three cells from a corner "reflect" magnifies less."""
    y = kernel_nodes(bump(8, place, place).double(), 13.0, padding)[0, 1]

    assert 1 / (y.diff(dim=0)[:, place].min().item() * 15) == pytest.approx(peak, rel=0.15)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("nodes", [(31, 31), (9, 14), (27, 48)])
@pytest.mark.parametrize("family", ["kernel", "separable"])
@pytest.mark.parametrize("compat", ["torch04", "torch13plus", "align_corners"])
def test_published_upsampling(compat, family, nodes, padding):
    """T9: the compat modes give the published code's grids, for maps of any shape."""
    saliency = softmax_map(*nodes)
    how = {"family": family, "fwhm_cells": 13.0, "padding": padding, "compat": compat}
    expected = reference.published_grid(saliency[0, 0].numpy(), (17, 24), **how)

    check_close(zoom_grid(saliency, (17, 24), **how)[0], expected, 1e-12)
    check_close(zoom_grid(saliency.float(), (17, 24), **how)[0], expected, 1e-5)


def test_published_border_is_dark_since_torch13():
    """T9: read as torch >= 1.3 reads it, the border has half and the corner a quarter of the brightness."""
    white, uniform = torch.ones(1, 1, 800, 800), torch.ones(1, 1, 31, 31)
    old = torch.nn.functional.grid_sample(
        white, zoom_grid(uniform, (224, 224), compat="torch04"), align_corners=True
    )
    new = torch.nn.functional.grid_sample(
        white, zoom_grid(uniform, (224, 224), compat="torch13plus"), align_corners=False
    )

    check_close(old, torch.ones(1, 1, 224, 224), 1e-5)
    check_close(new[0, 0, [0, 0, 112], [0, 112, 112]], [0.25, 0.5, 1.0], 1e-3)


@pytest.mark.parametrize("padding", PADDINGS)
def test_flipped_saliency_flips_the_grid(padding):
    """A mirrored map gives the mirrored grid, along either axis."""
    saliency = softmax_map(9, 14)
    grid = zoom_grid(saliency, (13, 17), padding=padding)

    check_close(
        zoom_grid(saliency.flip(3), (13, 17), padding=padding), grid.flip(2) * torch.tensor([-1, 1]), 1e-12
    )
    check_close(
        zoom_grid(saliency.flip(2), (13, 17), padding=padding), grid.flip(1) * torch.tensor([1, -1]), 1e-12
    )


def test_the_grid_is_denser_at_the_target():
    """A bump at (row 7, column 22) attracts points from all directions."""
    x, y = zoom_grid(bump(6, row=7, col=22), (100, 100))[0].unbind(dim=-1)
    near = (x - (22 / 15 - 1)).hypot(y - (7 / 15 - 1)) < 0.2

    assert near.float().mean() > 3 * math.pi * 0.2**2 / 4


def test_operator_manners():
    """No input is written to, strides do not matter, batches equal single samples, and an empty batch works."""
    saliency = softmax_map(9, 14, batch=3)
    check_operator(lambda s: zoom_grid(s, (13, 17), max_zoom=2.0), saliency)
    single = torch.cat([zoom_grid(s[None], (13, 17)) for s in saliency])

    check_close(zoom_grid(saliency, (13, 17)), single, 1e-14)
    assert zoom_grid(saliency[:0], (13, 17), max_zoom=2.0).shape == (0, 13, 17, 2)


def test_dtype_and_autocast():
    """Half precision gives float32, also under autocast, and float64 stays float64."""
    saliency = softmax_map(31, 31)
    plain = zoom_grid(saliency.float(), (20, 30))
    with torch.autocast("cpu", torch.bfloat16):
        inside = zoom_grid(saliency.float(), (20, 30))

    assert torch.equal(inside, plain)
    assert zoom_grid(saliency.bfloat16(), (20, 30)).dtype == torch.float32
    assert zoom_grid(saliency, (20, 30)).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int32])
def test_counts(dtype):
    """A map of whole numbers, such as a heat map out of a 16-bit PNG, gives the grid of the same numbers in float32."""
    counts = torch.randint(1, 200, (2, 1, 9, 14))
    with unhooked():
        grid = zoom_grid(counts.to(dtype), (13, 17), max_zoom=2.0)

    assert torch.equal(grid, zoom_grid(counts.float(), (13, 17), max_zoom=2.0))


def test_first_use_in_inference_mode_spoils_nothing():
    """Constants cached in inference mode can be used in training afterwards."""
    with torch.inference_mode():
        zoom_grid(torch.ones(1, 1, 5, 23), (6, 29), max_zoom=2.0)
    saliency = torch.rand(1, 1, 5, 23, requires_grad=True)
    zoom_grid(saliency, (6, 29), max_zoom=2.0).square().sum().backward()

    assert bool(saliency.grad.isfinite().all())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"saliency": torch.full((1, 1, 2, 2), -0.5)},
            "saliency must be non-negative, got -0.5: apply a softmax or a ReLU first.",
        ),
        (
            {"saliency": torch.zeros(2, 1, 2, 2)},
            "saliency must have a positive sum, got [0.0, 0.0]: add a small constant to empty maps.",
        ),
        (
            {"saliency": torch.full((1, 1, 2, 2), torch.inf)},
            "saliency must be finite, got maps that sum to [inf].",
        ),
        (
            {"saliency": torch.full((1, 1, 2, 2), torch.nan)},
            "saliency must be finite, got maps that sum to [nan].",
        ),
        ({"saliency": torch.ones(2, 3, 4)}, "saliency must be (batch, 1, rows, cols), got shape (2, 3, 4)."),
        (
            {"saliency": torch.ones(2, 3, 4, 4)},
            "saliency must be (batch, 1, rows, cols), got shape (2, 3, 4, 4).",
        ),
        ({"out_size": (0, 5)}, "out_size must be at least 1 pixel, got (0, 5)."),
        ({"family": "spline"}, "family must be one of ('kernel', 'separable', 'cdf'), got 'spline'."),
        ({"fwhm_cells": 0.0}, "fwhm_cells must be positive, got 0.0."),
        ({"padding": "zeros"}, "padding must be one of ('reflect', 'replicate'), got 'zeros'."),
        ({"max_zoom": 0.5}, "max_zoom must be at least 1, got 0.5: 1 is no zoom at all, None no bound."),
        (
            {"compat": "old"},
            "compat must be one of ('exact', 'torch04', 'torch13plus', 'align_corners'), got 'old'.",
        ),
        ({"marginal": "mean"}, "marginal must be one of ('sum', 'max'), got 'mean'."),
        ({"bound": "hard"}, "bound must be one of ('blend', 'local', 'axes'), got 'hard'."),
        (
            {"compat": "align_corners", "marginal": "max"},
            "marginal must be 'sum' with compat='align_corners', got 'max'.",
        ),
        ({"min_zoom": 0.0}, "min_zoom must be in (0, 1], got 0.0: 1 is no zoom at all, None no bound."),
        ({"min_zoom": 1.1}, "min_zoom must be in (0, 1], got 1.1: 1 is no zoom at all, None no bound."),
        (
            {"compat": "torch13plus", "family": "cdf"},
            "family must be 'kernel' or 'separable' with compat='torch13plus', got 'cdf'.",
        ),
        (
            {"compat": "torch04", "min_zoom": 0.5},
            "min_zoom must be None with compat='torch04', got 0.5: the published code has no bound.",
        ),
        (
            {"compat": "torch04", "max_zoom": 2.0},
            "max_zoom must be None with compat='torch04', got 2.0: the published code has no bound.",
        ),
    ],
)
def test_messages(changed, message):
    """Each error names the argument and its value."""
    arguments = {"saliency": torch.ones(1, 1, 4, 4), "out_size": (5, 5), **changed}

    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        zoom_grid(**arguments)


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_cuda_equals_cpu(family):
    """The grid is the same on CUDA, also if TF32 is allowed."""
    saliency = softmax_map(31, 31, batch=4, dtype=torch.float32)
    settings = {"family": family, "max_zoom": 2.0, "min_zoom": 0.6}
    torch.set_float32_matmul_precision("high")
    try:
        check_close(
            zoom_grid(saliency.cuda(), (64, 48), **settings), zoom_grid(saliency, (64, 48), **settings), 1e-5
        )
    finally:
        torch.set_float32_matmul_precision("highest")
