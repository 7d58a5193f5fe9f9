"""The families "separable" and "cdf", compared with formulas and bisection in float64."""

import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import zoom_grid
from tests import reference
from tests.checks import check_close, check_grid, check_operator
from tests.strategies import FAMILIES, PADDINGS, any_saliency, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")


SIZES = [((31, 31), (224, 224)), ((9, 14), (17, 11)), ((7, 5), (1, 40)), ((2, 5), (12, 9))]


def read_line(nodes, pixels):
    return np.interp(reference.pixel_centres(pixels), np.linspace(-1, 1, len(nodes)), nodes)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("nodes", "size"), SIZES)
@pytest.mark.parametrize("fwhm", [4.0, 10.0])
def test_separable_equals_the_oracle(nodes, size, padding, fwhm):
    """Each axis is computed from the map's sum over the other."""
    saliency = softmax_map(*nodes)
    plane = saliency[0, 0].numpy()
    x = read_line(np.clip(reference.kernel_line(plane.sum(axis=0), fwhm, padding), -1, 1), size[1])
    y = read_line(np.clip(reference.kernel_line(plane.sum(axis=1), fwhm, padding), -1, 1), size[0])
    expected = np.stack(np.meshgrid(x, y), axis=-1)

    for given_map, tolerance in ((saliency, 1e-12), (saliency.float(), 1e-6)):
        grid = zoom_grid(given_map, size, family="separable", padding=padding, fwhm_cells=fwhm)
        check_close(grid[0], expected, tolerance)


@pytest.mark.parametrize("padding", PADDINGS)
def test_separable_is_the_kernel_for_a_product(padding):
    """For a map that is the product of a row and a column, the grid is the kernel grid."""
    generator = torch.Generator().manual_seed(4)
    product = torch.rand(9, 1, generator=generator).double() @ torch.rand(1, 14, generator=generator).double()

    check_close(
        zoom_grid(product[None, None], (20, 30), family="separable", padding=padding),
        zoom_grid(product[None, None], (20, 30), padding=padding),
        1e-12,
    )


@pytest.mark.parametrize(("nodes", "size"), SIZES)
@pytest.mark.parametrize("contrast", [0.3, 2.0])
def test_cdf_equals_the_oracle(nodes, size, contrast):
    """The closed form equals bisection on the integral of the interpolated map."""
    saliency = softmax_map(*nodes, contrast=contrast)
    along_x, along_y = reference.marginals(saliency[0, 0].numpy())
    expected = np.stack(
        np.meshgrid(reference.quantiles(along_x, size[1]), reference.quantiles(along_y, size[0])), axis=-1
    )

    check_close(zoom_grid(saliency, size, family="cdf")[0], expected, 1e-8)
    check_close(zoom_grid(saliency.float(), size, family="cdf")[0], expected, 1e-5)


@settings(max_examples=60, deadline=None)
@given(any_saliency(batch=1).filter(lambda s: min(s.shape[2:]) > 1), st.integers(1, 60))
def test_cdf_spends_points_as_the_saliency_says(saliency, pixels):
    """Between any two neighbouring points lies the same share of the saliency, also in float32 at any contrast."""
    grid = zoom_grid(saliency, (pixels, pixels), family="cdf")[0].double().numpy()
    wanted = (np.arange(pixels) + 0.5) / pixels
    along_x, along_y = reference.marginals(saliency[0, 0].double().numpy())

    check_close(reference.distribution(along_x)(grid[0, :, 0]), wanted, 1e-5)
    check_close(reference.distribution(along_y)(grid[:, 0, 1]), wanted, 1e-5)


def test_cdf_density_is_the_saliency():
    """With many points, the local step is the inverse of the marginal density."""
    saliency = softmax_map(6, 9, contrast=1.0)
    x = zoom_grid(saliency, (4, 4000), family="cdf")[0, 0, :, 0].numpy()
    along_x, _ = reference.marginals(saliency[0, 0].numpy())
    density = np.interp(
        (x[1:] + x[:-1]) / 2, np.linspace(-1, 1, 9), along_x / (scipy.integrate.trapezoid(along_x) / 8)
    )

    check_close(1 / (np.diff(x) * 2000), density, 1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(31, 31), (9, 14), (1, 1), (1, 6), (6, 1)])
def test_uniform_saliency_changes_nothing(family, size):
    """T2: uniform saliency gives the identity grid in every family, to float64 rounding."""
    identity = torch.nn.functional.affine_grid(
        torch.eye(2, 3, dtype=torch.float64)[None], [1, 3, 50, 70], align_corners=False
    )

    check_close(
        zoom_grid(torch.full((1, 1, *size), 0.2, dtype=torch.float64), (50, 70), family=family),
        identity,
        1e-13,
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("padding", PADDINGS)
@settings(max_examples=25, deadline=None)
@given(any_saliency(), st.tuples(st.integers(1, 30), st.integers(1, 30)), st.floats(0.5, 20))
def test_never_folds_never_leaves(family, padding, saliency, size, fwhm):
    """T6: grids of every family are monotone along each axis and inside the image, however extreme the saliency."""
    check_grid(zoom_grid(saliency, size, family=family, padding=padding, fwhm_cells=fwhm))


@pytest.mark.parametrize(("family", "contrast"), [("kernel", 4), ("separable", 60), ("cdf", 60)])
@settings(max_examples=15, deadline=None)
@given(st.floats(0, 1), st.integers(0, 99), st.sampled_from([(64, 64), (224, 96)]))
def test_cells_keep_their_orientation(family, contrast, share, seed, size):
    """No cell of four points turns over: in separable grids for any map, in kernel grids up to strong contrast."""
    logits = torch.randn(1, 961, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    saliency = (share * contrast * logits).softmax(dim=1).view(1, 1, 31, 31)

    assert cell_areas(zoom_grid(saliency, size, family=family)).min() > -1e-12


def test_clamping_turns_cells_over():
    """ "replicate" padding turns over a few cells at the border, so the check above can fail."""
    logits = torch.randn(8, 961, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    saliency = (2 * logits).softmax(dim=1).view(8, 1, 31, 31)
    areas = cell_areas(zoom_grid(saliency, (224, 224), padding="replicate", fwhm_cells=13.0))

    assert 0 < (areas < -1e-12).double().mean() < 0.01


def cell_areas(grid):
    """Return twice the signed area of the triangle at each corner of each cell, relative to a uniform cell."""
    across, down = grid.diff(dim=2), grid.diff(dim=1)
    corners = [(a, d) for a in (across[:, :-1], across[:, 1:]) for d in (down[:, :, :-1], down[:, :, 1:])]
    crossed = torch.stack([a[..., 0] * d[..., 1] - a[..., 1] * d[..., 0] for a, d in corners])
    return crossed * grid.shape[1] * grid.shape[2] / 4


@pytest.mark.parametrize("family", ["separable", "cdf"])
@pytest.mark.parametrize("cells", [[(0, 0)], [(0, 30)], [(15, 15)], [(4, 4), (26, 26)], [(0, 0), (30, 30)]])
def test_zeros_leave_grid_and_gradient_finite(family, cells):
    """T7: grid and gradient are finite if all mass is in one cell, or in two with nothing between them."""
    saliency = torch.zeros(1, 1, 31, 31)
    for row, col in cells:
        saliency[0, 0, row, col] = 1
    saliency.requires_grad_()
    grid = zoom_grid(saliency, (41, 51), family=family)
    grid.square().sum().backward()

    check_grid(grid.detach())
    assert bool(saliency.grad.isfinite().all())


@pytest.mark.parametrize("family", FAMILIES)
def test_flips_scale_and_batches(family):
    """Mirrored maps give mirrored grids, scale does not matter, and samples are independent."""
    saliency = softmax_map(9, 14, batch=3)
    grid = zoom_grid(saliency, (13, 17), family=family)

    for dim, mirror in ((3, [-1, 1]), (2, [1, -1])):
        mirrored = zoom_grid(saliency.flip(dim), (13, 17), family=family)
        check_close(mirrored, grid.flip(dim - 1) * torch.tensor(mirror), 1e-12)
    check_close(zoom_grid(1e-20 * saliency, (13, 17), family=family), grid, 1e-12)
    check_close(torch.cat([zoom_grid(s[None], (13, 17), family=family) for s in saliency]), grid, 1e-13)
    check_operator(lambda s: zoom_grid(s, (13, 17), family=family, max_zoom=2.0, min_zoom=0.7), saliency)
    assert zoom_grid(saliency[:0], (13, 17), family=family, min_zoom=0.7).shape == (0, 13, 17, 2)


@pytest.mark.parametrize("family", ["separable", "cdf"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_and_half_precision(family, half):
    """Autocast changes no bit, and half-precision input gives a float32 grid."""
    saliency = softmax_map(31, 31, dtype=torch.float32)
    plain = zoom_grid(saliency, (20, 30), family=family, max_zoom=3.0)
    with torch.autocast("cpu", half):
        inside = zoom_grid(saliency, (20, 30), family=family, max_zoom=3.0)

    assert torch.equal(inside, plain)
    assert zoom_grid(saliency.to(half), (20, 30), family=family).dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        pytest.param("kernel", marks=pytest.mark.slow),
        pytest.param("separable", marks=pytest.mark.slow),
        "cdf",
    ],
)
def test_compiles_and_exports(run_plain, family):
    """torch.compile and torch.export work for every family, with bounds and gradients."""
    run_plain(f"""
        import torch
        from foveal.sampler import zoom_grid

        class Grid(torch.nn.Module):
            def forward(self, s):
                return zoom_grid(s, (24, 32), family={family!r}, max_zoom=3.0, min_zoom=0.5)

        saliency = torch.rand(2, 1, 9, 14, generator=torch.Generator().manual_seed(0))
        grid, given = Grid(), saliency.clone().requires_grad_()
        compiled = torch.compile(grid, fullgraph=True, backend="aot_eager")(given)
        torch.testing.assert_close(compiled, grid(saliency), atol=1e-6, rtol=0)
        compiled.square().sum().backward()
        assert bool(given.grad.isfinite().all())
        exported = torch.export.export(grid, (saliency,)).module()
        torch.testing.assert_close(exported(saliency), grid(saliency), atol=1e-6, rtol=0)
    """)
