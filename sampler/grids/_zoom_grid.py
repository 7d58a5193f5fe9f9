"""Computes from a saliency map where each output pixel looks."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from foveal._choices import Family
from foveal.sampler.frames import (
    Views,
    check_tensor,
    height_and_width,
    out_of_views,
    outer_grid,
    planes_out_of_views,
    underlying,
)
from foveal.sampler.grids._bounds import bounded, bounded_axes
from foveal.sampler.grids._capped import capped_axes
from foveal.sampler.grids._cdf_grid import cdf_axes
from foveal.sampler.grids._clipped import clipped
from foveal.sampler.grids._grid_settings import Bound, Compat, GridSettings, Marginal, Padding
from foveal.sampler.grids._kernel_grid import kernel_nodes, read_nodes
from foveal.sampler.grids._published_grid import published_grid
from foveal.sampler.grids._separable_grid import separable_axes


def zoom_grid(
    saliency: Float[Tensor, "batch 1 rows cols"],
    out_size: int | tuple[int, int],
    *,
    family: Family = "kernel",
    fwhm_cells: float = 8.0,
    padding: Padding = "reflect",
    max_zoom: float | None = None,
    min_zoom: float | None = None,
    marginal: Marginal = "sum",
    bound: Bound = "blend",
    compat: Compat = "exact",
) -> Float[Tensor, "batch height width 2"]:
    """Return where each output pixel looks in the input: denser where the saliency is higher.

    Attracts sampling points towards mass in ``saliency`` (Recasens et al. 2018, section 3.2, equations 3 and 4), or
    distributes them in proportion to it. A uniform map gives the identity grid. For every map, x never decreases along a
    row of the grid, nor y along a column. Differentiable in the saliency; always at least float32, also under
    autocast.

    Args:
        saliency: Non-negative weights on a coarse lattice, of any scale; each map must have a positive sum. Its first
            and last nodes lie on the image's edges.
        out_size: Height and width of the output in pixels, or one number for both.
        family: How the points are attracted.
            "kernel" is the paper's Gaussian-weighted mean position.
            "separable" is the same along each axis alone, from the map's sums over rows and over columns (FOVEA, LZU):
            boxes stay boxes.
            "cdf" inverts each axis' cumulative distribution: the density of columns is exactly the saliency at their
            x, likewise for rows. It never crops.
        fwhm_cells: Full width at half maximum of the Gaussian, in lattice cells along either axis (so on a 31 x 31 map
            of a 3:2 image it is wider in x by half). The paper's code has 13 on 31 x 31; its text has sigma = a third
            of the map's width, which is 24.3. A narrower one gives a sharper zoom. Not used by "cdf".
        padding: What lies beyond the map's border. "reflect" shows the whole image, whatever the saliency;
            "replicate" is the paper's, and crops the image if the saliency is concentrated. Not used by "cdf".
        max_zoom: Nothing is magnified more than this, in any direction, relative to a uniform resize: the singular values
            of the grid's Jacobian, in uniform steps, are at least ``1 / max_zoom``. At least 1; None for no bound.
        min_zoom: Nothing in the image shrinks more than ``1 / min_zoom`` times, and nothing is cropped: the singular values
            are at most ``1 / min_zoom``, and the outermost points are at most half of that from the image's edges. Above
            0, at most 1 (which gives the identity grid); None for no bound.
        marginal: For "separable" and "cdf", how the map is reduced to one axis: by its "sum" over the other axis, or by
            its "max", with which a small object counts as much as a large one (TASN). Not used by "kernel".
        bound: How ``max_zoom`` and ``min_zoom`` are held.
            "blend" mixes a sample's grid with the identity by as much as necessary, which reduces the zoom everywhere.
            "local" acts only where a bound is exceeded, so that other objects keep their zoom. On
            "separable" and "cdf" grids, the density of points is cut and the rest spread evenly (TASN); on "kernel" grids,
            the map is cut off at the height at which the bounds hold.
            "axes" is the blend of earlier versions for "kernel" grids, which only bounds the steps along x and y: a
            diagonal ridge may be magnified more than ``max_zoom`` across. Files of those versions use it.
        compat: "exact" reads the node map at the output's pixel centres. The others return the grid of published code, in
            the frame in which that code passes it to ``grid_sample``. The grid of Learning to Zoom differs from the exact
            one by 1.6 % of the width for a uniform map, 4.3 % for one object, 6.1 % for sharp maps (``docs/samplers.md``).
            "torch04": Learning to Zoom when it was published, for ``grid_sample(align_corners=True)``.
            "torch13plus": the same grid, which that code reads with ``align_corners=False, padding_mode="zeros"`` since
            torch 1.3 (the border comes out at half brightness).
            "align_corners": FOVEA and LZU, for ``grid_sample(align_corners=True)``.

    Returns:
        (x, y) in [-1, 1], ``align_corners=False``: -1 and 1 are the outer edges of the border pixels, as in
        ``torch.nn.functional.grid_sample``. float64 if the saliency is, else float32.

    Raises:
        ValueError: A map is negative somewhere, sums to zero, or is not finite (not checked while compiling); or an
            argument is out of range.
        TypeError: The saliency is no tensor.

    Example:
        >>> zoom_grid(torch.ones(1, 1, 31, 31), (224, 336)).shape
        torch.Size([1, 224, 336, 2])
    """
    settings = GridSettings(
        family=family,
        fwhm_cells=fwhm_cells,
        padding=padding,
        max_zoom=max_zoom,
        min_zoom=min_zoom,
        marginal=marginal,
        bound=bound,
        compat=compat,
    )
    size = height_and_width(out_size, "out_size")
    check_tensor(saliency, "saliency")
    wide = saliency.to(torch.promote_types(saliency.dtype, torch.float32))
    _check_saliency(wide)
    # Finite weights may have a sum that is not. By a power of two they are scaled without rounding.
    total = wide.detach().sum(dim=(2, 3), keepdim=True)
    scaled = wide * torch.where(total.isfinite(), torch.ones_like(total), 2.0**-32)
    return unchecked_grid(scaled / scaled.sum(dim=(2, 3), keepdim=True), size, settings)


def unchecked_grid(
    weights: Float[Tensor, "batch 1 rows cols"],
    out_size: tuple[int, int],
    settings: GridSettings,
    views: Views | None = None,
) -> Float[Tensor, "batch height width 2"]:
    """Return the grid of weights that are known to be non-negative, to sum to one, and to be float32 or float64.

    With ``views``, (batch, 2, 3), it is composed with them; published grids ignore them.
    """
    with torch.autocast(weights.device.type, enabled=False):
        lattice = _with_two_lines(weights)
        if settings.compat != "exact":
            return published_grid(lattice, out_size, settings)
        locally = settings.bound == "local" and settings.is_bounded
        match settings.family:
            case "kernel":
                drawing = clipped(lattice, settings) if locally else lattice
                nodes = kernel_nodes(drawing, *settings.attraction)
                # Clipping holds the bounds at the nodes. Between nodes a grid may exceed them slightly, so it is blended, too.
                within = bounded(nodes, out_size, settings)
                # There are far fewer nodes than points, and reading nodes is linear.
                return read_nodes(planes_out_of_views(within, views), out_size).to(weights.dtype)
            case "separable":
                axes = separable_axes(lattice, out_size, settings)
            case "cdf":
                axes = cdf_axes(lattice, out_size, settings.marginal)
        x, y = capped_axes(axes, settings) if locally else bounded_axes(axes, settings)
        return out_of_views(outer_grid(x.to(weights.dtype), y.to(weights.dtype)), views)


def _with_two_lines(weights: Float[Tensor, "batch 1 _rows _cols"]) -> Float[Tensor, "batch 1 rows cols"]:
    """Repeat a single row or column of cells: two equal ones give the identity along the axis on which one cell says nothing."""
    rows, cols = weights.shape[2:]
    if rows > 1 and cols > 1:
        return weights
    return weights.repeat(1, 1, 1 + (rows == 1), 1 + (cols == 1))


def _check_saliency(saliency: Float[Tensor, "batch 1 rows cols"]) -> None:
    if saliency.ndim != 4 or saliency.shape[1] != 1 or 0 in saliency.shape[2:]:
        raise ValueError(f"saliency must be (batch, 1, rows, cols), got shape {tuple(saliency.shape)!r}.")
    if torch.compiler.is_compiling():
        return
    sums = underlying(saliency.detach().sum(dim=(1, 2, 3), dtype=torch.float64)).flatten().tolist()
    if not all(map(math.isfinite, sums)):
        raise ValueError(f"saliency must be finite, got maps that sum to {sums!r}.")
    if sums and underlying(saliency.detach()).amin().item() < 0:
        raise ValueError(
            f"saliency must be non-negative, got {underlying(saliency).min().item()!r}: apply a softmax or a ReLU first."
        )
    if min(sums, default=1.0) <= 0:
        raise ValueError(
            f"saliency must have a positive sum, got {sums!r}: add a small constant to empty maps."
        )
