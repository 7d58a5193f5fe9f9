"""From a saliency map to where each output pixel looks."""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal._choices import Family
from foveal.sampler.grids._bounds import bounded
from foveal.sampler.grids._cdf_grid import cdf_grid
from foveal.sampler.grids._grid_settings import Compat, GridSettings, Padding
from foveal.sampler.grids._kernel_grid import kernel_grid
from foveal.sampler.grids._published_grid import published_grid
from foveal.sampler.grids._separable_grid import separable_grid


def zoom_grid(
    saliency: Float[Tensor, "batch 1 rows cols"],
    out_size: tuple[int, int],
    *,
    family: Family = "kernel",
    fwhm_cells: float = 8.0,
    padding: Padding = "reflect",
    max_zoom: float | None = None,
    min_zoom: float | None = None,
    compat: Compat = "exact",
) -> Float[Tensor, "batch height width 2"]:
    """Return where each output pixel looks in the input: denser where the saliency is higher.

    Attracts sampling points towards mass in ``saliency`` (Recasens et al. 2018, section 3.2, equations 3 and 4), or
    distributes them in proportion to it. A uniform map gives the identity grid, and whatever the map, x never falls
    along a row of the grid, nor y along a column. Differentiable in the saliency; always at least float32, also under
    autocast.

    Args:
        saliency: Non-negative weights on a coarse lattice, of any scale; each map must have a positive sum. Its first
            and last nodes lie on the image's edges.
        out_size: Height and width of the output in pixels.
        family: How the points are attracted.
            "kernel" is the paper's Gaussian-weighted mean position.
            "separable" is the same along each axis alone, from the map's sums over rows and over columns (FOVEA, LZU):
            boxes stay boxes.
            "cdf" inverts each axis' cumulative distribution: the density of columns is exactly the saliency at their
            x, likewise for rows. It never crops.
        fwhm_cells: Full width at half maximum of the Gaussian, in lattice cells along either axis (so on a 31 x 31 map
            of a 3:2 image it is wider in x by half). The paper's code has 13 on 31 x 31; its text has sigma = a third
            of the map's width, which is 24.3. A narrower one zooms in more sharply. Without meaning for "cdf".
        padding: What lies beyond the map's border. "reflect" shows the whole image, whatever the saliency;
            "replicate" is the paper's, and crops when the saliency is concentrated. Without meaning for "cdf".
        max_zoom: The shortest step between neighbouring points may be ``1 / max_zoom`` of a uniform step, along x
            between columns and along y between rows. Where it would be shorter, that sample's grid is blended with
            the identity by just as much as it takes. At least 1; None for no bound. On "separable" and "cdf" grids
            that is all the magnification there is; on "kernel" grids a diagonal ridge may be magnified further across.
        min_zoom: The longest step likewise may be ``1 / min_zoom`` of a uniform step, and from the image's edges to
            the outermost points half of that: nothing in the image shrinks further, nothing is cropped. Above 0, at most
            1 (then the grid is the identity); None for no bound. With both, the larger share of the identity is taken,
            and holds both.
        compat: "exact" reads the node map at the output's pixel centres. The others return the grid of published code, in
            the frame in which that code hands it to ``grid_sample``. Beside the exact one, that of Learning to Zoom is off by
            1.6 % of the width for a uniform map, 4.3 % for one object, 6.1 % for sharp maps (``docs/samplers.md``).
            "torch04": Learning to Zoom when it was published, for ``grid_sample(align_corners=True)``.
            "torch13plus": the same grid, which that code reads with ``align_corners=False, padding_mode="zeros"`` since
            torch 1.3 (the border comes out at half brightness).
            "align_corners": FOVEA and LZU, for ``grid_sample(align_corners=True)``.

    Returns:
        (x, y) in [-1, 1], ``align_corners=False``: -1 and 1 are the outer edges of the border pixels, as in
        ``torch.nn.functional.grid_sample``. float64 if the saliency is, else float32.

    Raises:
        ValueError: A map is negative somewhere, sums to zero, or is not finite (not looked at while compiling); or an
            argument is out of range.

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
        compat=compat,
    )
    if min(out_size) < 1:
        raise ValueError(f"out_size must be at least (1, 1), got {out_size!r}.")
    _check_saliency(saliency)
    wide = saliency.to(torch.promote_types(saliency.dtype, torch.float32))
    return unchecked_grid(wide / wide.sum(dim=(2, 3), keepdim=True), out_size, settings)


def unchecked_grid(
    weights: Float[Tensor, "batch 1 rows cols"], out_size: tuple[int, int], settings: GridSettings
) -> Float[Tensor, "batch height width 2"]:
    """The same for weights that are known to be non-negative, to sum to one, and to be float32 or float64."""
    with torch.autocast(weights.device.type, enabled=False):
        # One line of cells says nothing about its own axis: as two equal ones it gives the identity there.
        lattice = weights.repeat(1, 1, 1 + (weights.shape[2] == 1), 1 + (weights.shape[3] == 1))
        if settings.compat != "exact":
            return published_grid(lattice, out_size, settings)
        match settings.family:
            case "kernel":
                grid = kernel_grid(lattice, out_size, settings.fwhm_cells, settings.padding)
            case "separable":
                grid = separable_grid(lattice, out_size, settings.fwhm_cells, settings.padding)
            case "cdf":
                grid = cdf_grid(lattice, out_size)
        return bounded(grid, shortest=settings.shortest_step, longest=settings.longest_step)


def _check_saliency(saliency: Float[Tensor, "batch 1 rows cols"]) -> None:
    if saliency.ndim != 4 or saliency.shape[1] != 1 or 0 in saliency.shape[2:]:
        raise ValueError(f"saliency must be (batch, 1, rows, cols), got shape {tuple(saliency.shape)!r}.")
    if torch.compiler.is_compiling():
        return
    sums = saliency.detach().double().sum(dim=(1, 2, 3))
    if not bool(sums.isfinite().all()):
        raise ValueError(f"saliency must be finite, got maps that sum to {sums.tolist()!r}.")
    if bool((saliency < 0).any()):
        raise ValueError(
            f"saliency must be non-negative, got {saliency.min().item()!r}: apply a softmax or a ReLU first."
        )
    if bool((sums <= 0).any()):
        raise ValueError(
            f"saliency must have a positive sum, got {sums.tolist()!r}: add a small constant to empty maps."
        )
