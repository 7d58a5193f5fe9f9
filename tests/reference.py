"""The formulas once more, in float64 NumPy and as slowly as they read: what the tests hold the package against."""

import numpy as np
import scipy.integrate
import scipy.interpolate
import scipy.optimize


def kernel_nodes(saliency, fwhm_cells, padding):
    """Recasens et al. 2018, the published way: correlate the padded map with a (2p + 1)^2 Gaussian, p = n - 1."""
    rows, cols = saliency.shape
    below, right = rows - 1, cols - 1
    padded = np.pad(
        saliency.astype(np.float64),
        ((below, below), (right, right)),
        {"replicate": "edge"}.get(padding, padding),
    )
    y = 2 * (np.arange(rows + 2 * below) - below) / below - 1
    x = 2 * (np.arange(cols + 2 * right) - right) / right - 1
    di, dj = np.mgrid[-below : below + 1, -right : right + 1]
    kernel = np.exp(-4 * np.log(2) * (di**2 + dj**2) / fwhm_cells**2)
    nodes = np.empty((2, rows, cols))
    for i in range(rows):
        for j in range(cols):
            weight = kernel * padded[i : i + 2 * below + 1, j : j + 2 * right + 1]
            nodes[0, i, j] = (weight * x[j : j + 2 * right + 1]).sum() / weight.sum()
            nodes[1, i, j] = (weight * y[i : i + 2 * below + 1, None]).sum() / weight.sum()
    return nodes


def kernel_line(marginal, fwhm_cells, padding):
    """The same along one axis: each node at the Gaussian-weighted mean position of what lies around it."""
    last = len(marginal) - 1
    padded = np.pad(marginal.astype(np.float64), last, {"replicate": "edge"}.get(padding, padding))
    x = 2 * (np.arange(len(padded)) - last) / last - 1
    near = np.exp(-4 * np.log(2) * np.arange(-last, last + 1) ** 2 / fwhm_cells**2)
    window = [slice(i, i + 2 * last + 1) for i in range(last + 1)]
    return np.array([(near * padded[w] * x[w]).sum() / (near * padded[w]).sum() for w in window])


def distribution(marginal):
    """The cumulative distribution on [-1, 1] of a density that is linear between evenly spaced nodes."""
    density = scipy.interpolate.make_interp_spline(np.linspace(-1, 1, len(marginal)), marginal, k=1)
    below = density.antiderivative()
    return lambda x: (below(x) - below(-1)) / (below(1) - below(-1))


def marginals(saliency):
    """What a bilinear map integrates to along y, and along x."""
    return scipy.integrate.trapezoid(saliency, axis=0), scipy.integrate.trapezoid(saliency, axis=1)


def quantiles(marginal, pixels):
    """Where the distribution reaches (j + 1/2) / pixels, found by bracketing."""
    below = distribution(marginal)
    wanted = (np.arange(pixels) + 0.5) / pixels
    return np.array([scipy.optimize.brentq(lambda x, t=t: below(x) - t, -1, 1, xtol=1e-15) for t in wanted])


def source_of(grid, x, y):
    """Where (x, y), in pixels of the zoomed image, lies in the source: bilinear between the (H, W, 2) grid's points at
    pixel centres; beyond the outermost, each coordinate runs on with its last step along its own axis, at least a millionth of a
    uniform one."""
    height, width, _ = grid.shape
    rows, cols = np.arange(height) + 0.5, np.arange(width) + 0.5
    inner_x, inner_y = np.clip(x, cols[0], cols[-1]), np.clip(y, rows[0], rows[-1])

    def read(plane):
        along = np.stack([np.interp(inner_x, cols, row) for row in plane])
        return np.array([np.interp(yy, rows, along[:, k]) for k, yy in enumerate(inner_y)])

    def run_on(plane, centres, axis, off):
        if len(centres) == 1:
            return off * 2
        steps = np.maximum(np.diff(plane, axis=axis), 1e-6 * 2 / len(centres))
        first, last = (read(np.broadcast_to(steps.take([k], axis), plane.shape)) for k in (0, -1))
        return off * np.where(off < 0, first, last)

    return np.stack(
        [
            read(grid[..., 0]) + run_on(grid[..., 0], cols, 1, x - inner_x),
            read(grid[..., 1]) + run_on(grid[..., 1], rows, 0, y - inner_y),
        ],
        axis=-1,
    )


def grid_at_pixels(nodes, size):
    """Nodes at linspace(-1, 1, n), read piecewise bilinearly at the output's pixel centres: (H, W, 2)."""
    return _read_nodes(
        nodes,
        [(pixel_centres(length) + 1) / 2 * (n - 1) for length, n in zip(size, nodes.shape[1:], strict=True)],
    )


def grid_published(nodes, size):
    """The published upsampling: nodes are pixels of a small image that is enlarged with align_corners=False."""
    return _read_nodes(
        nodes,
        [
            (np.arange(length) + 0.5) * n / length - 0.5
            for length, n in zip(size, nodes.shape[1:], strict=True)
        ],
    )


def pixel_centres(length):
    return (2 * np.arange(length) + 1) / length - 1


def bilinear(image, grid):
    """Values of an (h, w, c) image at an (H, W, 2) grid of (x, y) in [-1, 1], the border's value beyond it: (c, H, W)."""
    height, width, _ = image.shape
    x = np.clip(((grid[..., 0] + 1) * width - 1) / 2, 0, width - 1)
    y = np.clip(((grid[..., 1] + 1) * height - 1) / 2, 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    source = image.astype(np.float64)
    top = (1 - fx) * source[y0, x0] + fx * source[y0, x1]
    bottom = (1 - fx) * source[y1, x0] + fx * source[y1, x1]
    return np.moveaxis((1 - fy) * top + fy * bottom, -1, 0)


def area_mean(image, size):
    """The mean of an (h, w, c) image over each of size's cells, pixels counted by the part inside: (c, rows, cols)."""
    down, across = (_overlap(n, cells) for n, cells in zip(image.shape[:2], size, strict=True))
    return np.einsum("ih,jw,hwc->cij", down, across, image.astype(np.float64), optimize=True)


def spectral_residual(image):
    """Hou & Zhang 2007 on one (n, n) channel, mirrored to (2n, 2n): the squared reconstruction, unsmoothed."""
    mirrored = np.pad(image.astype(np.float64), ((0, image.shape[0]), (0, image.shape[1])), "symmetric")
    spectrum = np.fft.fft2(mirrored)
    log = np.log(np.abs(spectrum) + 0.1)
    mean = sum(np.roll(log, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    back = np.fft.ifft2(spectrum / (np.abs(spectrum) + 0.1) * np.exp(log - mean)).real
    return back[: image.shape[0], : image.shape[1]] ** 2


def _read_nodes(nodes, positions):
    (y, x) = (np.clip(p, 0, n - 1) for p, n in zip(positions, nodes.shape[1:], strict=True))
    along_x = np.stack([[np.interp(x, np.arange(len(row)), row) for row in plane] for plane in nodes])
    return np.stack(
        [[np.interp(y, np.arange(len(col)), col) for col in plane.T] for plane in along_x], axis=-1
    ).swapaxes(0, 1)


def _overlap(pixels, cells):
    edge = np.arange(cells + 1) * pixels / cells
    inside = np.minimum(edge[1:, None], np.arange(pixels) + 1) - np.maximum(
        edge[:-1, None], np.arange(pixels)
    )
    return np.clip(inside, 0, None) * cells / pixels
