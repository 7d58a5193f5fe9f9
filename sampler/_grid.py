"""From a saliency map to where each output pixel looks."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from foveal.sampler._constant import constant
from foveal.sampler._kernel_grid import PADDINGS, Padding, kernel_nodes

Family = Literal["kernel"]
FAMILIES: tuple[Family, ...] = ("kernel",)
Compat = Literal["exact", "torch04", "torch13plus"]
COMPATS: tuple[Compat, ...] = ("exact", "torch04", "torch13plus")


def zoom_grid(
    saliency: Float[Tensor, "batch 1 rows cols"],
    size: tuple[int, int],
    *,
    family: Family = "kernel",
    fwhm_cells: float = 8.0,
    padding: Padding = "reflect",
    max_zoom: float | None = None,
    compat: Compat = "exact",
) -> Float[Tensor, "batch height width 2"]:
    """Return where each output pixel looks in the input: denser where the saliency is higher.

    Attracts sampling points towards mass in ``saliency`` (Recasens et al. 2018, section 3.2, equations 3 and 4).
    A uniform map gives the identity grid. Differentiable in the saliency; always at least float32, also under autocast.

    Args:
        saliency: Non-negative weights on a coarse lattice, of any scale; each map must have a positive sum. Its first
            and last nodes lie on the image's edges.
        size: Output (height, width), in pixels.
        family: How the points are attracted: "kernel" is the paper's Gaussian-weighted mean position.
        fwhm_cells: Full width at half maximum of the Gaussian, in lattice cells along either axis (so on a 31 x 31 map
            of a 3:2 image it is wider in x by half). The paper's code has 13 on 31 x 31; its text has sigma = a third
            of the map's width, which is 24.3. A narrower one zooms in more sharply.
        padding: What lies beyond the map's border. "reflect" shows the whole image, whatever the saliency;
            "replicate" is the paper's, and crops when the saliency is concentrated.
        max_zoom: The shortest step between neighbouring points may be ``1 / max_zoom`` of a uniform step, along x
            between columns and along y between rows. Where it would be shorter, that sample's grid is blended with
            the identity by just as much as it takes. At least 1; None for no bound.
        compat: "exact" reads the node map at the output's pixel centres. The other two are the published code's own
            upsampling, off by up to 1.4 % of the width. They are one grid read in two ways:
            "torch04" for ``grid_sample(align_corners=True)``, what torch did when it was published; "torch13plus" for
            ``grid_sample(align_corners=False, padding_mode="zeros")``, what the same code does since torch 1.3
            (the border comes out at half brightness).

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
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {FAMILIES!r}, got {family!r}.")
    if compat not in COMPATS:
        raise ValueError(f"compat must be one of {COMPATS!r}, got {compat!r}.")
    if max_zoom is not None and compat != "exact":
        raise ValueError(
            f"max_zoom must be None with compat={compat!r}, got {max_zoom!r}: the published code has no bound."
        )
    check_zoom(size, fwhm_cells, padding, max_zoom)
    _check_saliency(saliency)
    wide = saliency.to(torch.promote_types(saliency.dtype, torch.float32))
    weights = wide / wide.sum(dim=(2, 3), keepdim=True)
    return unchecked_grid(
        weights, size, fwhm_cells=fwhm_cells, padding=padding, max_zoom=max_zoom, compat=compat
    )


def unchecked_grid(
    weights: Float[Tensor, "batch 1 rows cols"],
    size: tuple[int, int],
    *,
    fwhm_cells: float,
    padding: Padding,
    max_zoom: float | None,
    compat: Compat = "exact",
) -> Float[Tensor, "batch height width 2"]:
    """The same for weights that are known to be non-negative, to sum to one, and to be float32 or float64."""
    with torch.autocast(weights.device.type, enabled=False):
        # One line of cells says nothing about its own axis: as two equal ones it gives the identity there.
        lattice = weights.repeat(1, 1, 1 + (weights.shape[2] == 1), 1 + (weights.shape[3] == 1))
        # CUDA may be set to multiply float32 in TF32, whose ten bits miss by half a pixel of 800. float64 is never cut.
        lattice = lattice.double() if weights.device.type == "cuda" else lattice
        nodes = kernel_nodes(lattice, fwhm_cells, padding)
        grid = (_at_pixels(nodes, size) if compat == "exact" else _published(nodes, size)).to(weights.dtype)
        return grid if max_zoom is None else _bounded(grid, max_zoom)


def check_zoom(size: tuple[int, int], fwhm_cells: float, padding: Padding, max_zoom: float | None) -> None:
    """Refuse settings that no grid could follow."""
    if min(size) < 1:
        raise ValueError(f"size must be at least (1, 1), got {size!r}.")
    if not fwhm_cells > 0:
        raise ValueError(f"fwhm_cells must be positive, got {fwhm_cells!r}.")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {PADDINGS!r}, got {padding!r}.")
    if max_zoom is not None and not max_zoom >= 1:
        raise ValueError(f"max_zoom must be at least 1, got {max_zoom!r}: pass None for no bound.")


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


def _at_pixels(
    nodes: Float[Tensor, "batch 2 rows cols"], size: tuple[int, int]
) -> Float[Tensor, "batch height width 2"]:
    """Read the node map, piecewise bilinear on [-1, 1], at the centres of the output's pixels."""
    down = _interpolation(nodes.shape[2], size[0], nodes.dtype, nodes.device)
    across = _interpolation(nodes.shape[3], size[1], nodes.dtype, nodes.device)
    # x and y are brought side by side while there are few of them: at full size that alone would take most of the time.
    wide = torch.stack((nodes @ across.T).unbind(1), dim=-1)
    grid: Tensor = (down @ wide.flatten(2)).view(len(nodes), *size, 2)
    return grid


def _published(
    nodes: Float[Tensor, "batch 2 rows cols"], size: tuple[int, int]
) -> Float[Tensor, "batch height width 2"]:
    upsampled: Tensor = interpolate(nodes, size, mode="bilinear", align_corners=False)
    return upsampled.permute(0, 2, 3, 1).contiguous()


def _bounded(
    grid: Float[Tensor, "batch height width 2"], max_zoom: float
) -> Float[Tensor, "batch height width 2"]:
    """Blend with the identity until no step is shorter than 1 / max_zoom of a uniform one.

    With r the shortest step in uniform steps, (1 - a) r + a >= 1 / max_zoom asks for a = (1 / max_zoom - r) / (1 - r).
    """
    identity = identity_grid((grid.shape[1], grid.shape[2]), grid.dtype, grid.device)
    shortest = _shortest_step(grid)
    wanted = (1 / max_zoom - shortest).clamp(min=0)
    # The guard is for steps that are all uniform, where nothing is wanted.
    share = (wanted / (1 - shortest).clamp(min=torch.finfo(grid.dtype).eps)).clamp(max=1)
    return torch.lerp(grid, identity, share[:, None, None, None])


def _shortest_step(grid: Float[Tensor, "batch height width 2"]) -> Float[Tensor, " batch"]:
    """The shortest step in x between columns or in y between rows, in uniform steps; never above one."""
    _, height, width, _ = grid.shape
    shortest = grid.new_ones(len(grid))
    if width > 1:
        across = (grid[:, :, 1:, 0] - grid[:, :, :-1, 0]).amin(dim=(1, 2))
        shortest = torch.minimum(shortest, across * (width / 2))
    if height > 1:
        down = (grid[:, 1:, :, 1] - grid[:, :-1, :, 1]).amin(dim=(1, 2))
        shortest = torch.minimum(shortest, down * (height / 2))
    return shortest


@constant
def identity_grid(
    size: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "1 height width 2"]:
    """The centres of the output's own pixels: the grid that changes nothing but the resolution."""
    y, x = torch.meshgrid(_centres(size[0]), _centres(size[1]), indexing="ij")
    return torch.stack([x, y], dim=-1)[None].to(device, dtype)


@constant
def _interpolation(
    nodes: int, pixels: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "pixels nodes"]:
    """Row j: the weights of the nodes at the centre of pixel j, linear between neighbours."""
    position = (_centres(pixels) + 1) / 2 * (nodes - 1)
    return (1 - (position[:, None] - torch.arange(nodes)).abs()).clamp(min=0).to(device, dtype)


def _centres(pixels: int) -> Float[Tensor, " pixels"]:
    return (2 * torch.arange(pixels, dtype=torch.float64) + 1) / pixels - 1
