"""The formulas once more, in float64 NumPy and as slowly as they read: what the tests hold the package against."""

import numpy as np
import scipy.integrate
import scipy.interpolate
import scipy.optimize


def kernel_nodes(saliency, fwhm_cells, padding, reach=None):
    """Recasens et al. 2018, the published way: correlate the padded map with a (2p + 1)^2 Gaussian, p = n - 1."""
    rows, cols = saliency.shape
    below, right = (rows - 1, cols - 1) if reach is None else (reach, reach)
    padded = np.pad(
        saliency.astype(np.float64),
        ((below, below), (right, right)),
        {"replicate": "edge"}.get(padding, padding),
    )
    y = 2 * (np.arange(rows + 2 * below) - below) / (rows - 1) - 1
    x = 2 * (np.arange(cols + 2 * right) - right) / (cols - 1) - 1
    di, dj = np.mgrid[-below : below + 1, -right : right + 1]
    kernel = np.exp(-4 * np.log(2) * (di**2 + dj**2) / fwhm_cells**2)
    nodes = np.empty((2, rows, cols))
    for i in range(rows):
        for j in range(cols):
            weight = kernel * padded[i : i + 2 * below + 1, j : j + 2 * right + 1]
            nodes[0, i, j] = (weight * x[j : j + 2 * right + 1]).sum() / weight.sum()
            nodes[1, i, j] = (weight * y[i : i + 2 * below + 1, None]).sum() / weight.sum()
    return nodes


def kernel_line(marginal, fwhm_cells, padding, reach=None):
    """The same along one axis: each node at the Gaussian-weighted mean position of what lies around it."""
    last = len(marginal) - 1
    reach = last if reach is None else reach
    padded = np.pad(marginal.astype(np.float64), reach, {"replicate": "edge"}.get(padding, padding))
    x = 2 * (np.arange(len(padded)) - reach) / last - 1
    near = np.exp(-4 * np.log(2) * np.arange(-reach, reach + 1) ** 2 / fwhm_cells**2)
    window = [slice(i, i + 2 * reach + 1) for i in range(last + 1)]
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


def published_grid(saliency, size, *, family, fwhm_cells, padding, compat):
    """The grids of Learning to Zoom and of FOVEA and LZU, which place the outermost nodes otherwise when they enlarge the map."""
    reach = min(saliency.shape) - 1
    if family == "kernel":
        nodes = kernel_nodes(saliency, fwhm_cells, padding, reach)
    else:
        x, y = (kernel_line(saliency.sum(axis), fwhm_cells, padding, reach) for axis in (0, 1))
        nodes = np.stack(np.meshgrid(x, y))
    nodes = np.clip(nodes, -1, 1)
    if compat == "align_corners":
        places = [np.linspace(0, n - 1, length) for length, n in zip(size, saliency.shape, strict=True)]
    else:
        places = [
            (np.arange(length) + 0.5) * n / length - 0.5
            for length, n in zip(size, saliency.shape, strict=True)
        ]
    return _read_nodes(nodes, places)


def attwarp_places(attention, length, pixels):
    """AttWarp's (Dalal et al. 2025) columns: root of the attention, sums along y, inverse of their cumulative sum.

    Its density is constant within each of the image's columns; output pixel k is put at its left edge, k / pixels, and
    what is found there is taken for the centre of a column. Returned in [-1, 1] of the image's edges.
    """
    marginal = (np.sqrt(np.maximum(attention, 0)) + 1e-9).sum(0)
    reached = np.concatenate([[0], np.cumsum(marginal) / marginal.sum()]) * pixels
    found = np.interp(np.arange(pixels), reached, np.arange(length + 1))
    return 2 * (found + 0.5) / length - 1


def tasn_places(marginals, pixels, *, most=4.0, iterations=5):
    """TASN's (Zheng et al. 2019) places along two axes: densities cut at a threshold, the excess spread evenly, five times.

    Each is the inverse of a cumulative sum that starts at 1 whatever the first density is, read with ``align_corners``:
    returned in [-1, 1] of the centres of the border pixels.
    """
    cells = len(marginals[0])
    densities = [marginal / marginal.sum() * pixels for marginal in marginals]
    for k in range(iterations):
        threshold = min(density.max() for density in densities)
        if k == 0:
            threshold = min(threshold, most * pixels / cells)
        densities = [np.minimum(density, threshold) for density in densities]
        densities = [density + (pixels - density.sum()) / cells for density in densities]
    places = []
    for density in densities:
        reached = np.concatenate([[1.0], 1 + np.cumsum(density[1:])])
        wanted = np.arange(pixels) * reached[-1] / pixels
        places.append(np.interp(wanted, reached, np.arange(cells)) * 2 / (cells - 1) - 1)
    return places


def fovea_saliency(boxes, grid_size, image_size, *, bandwidth=64.0, amplitude=1.0):
    """Thavamani et al. 2021, the published way, boxes in pixels: each brings a Gaussian and a floor."""
    (rows, cols), (height, width) = grid_size, image_size
    y, x = np.meshgrid(np.linspace(0, height, rows), np.linspace(0, width, cols), indexing="ij")
    total = np.zeros(grid_size)
    for x0, y0, x1, y1 in boxes:
        off = (x - (x0 + x1) / 2) ** 2 / (x1 - x0) + (y - (y0 + y1) / 2) ** 2 / (y1 - y0)
        kernel = np.exp(-0.5 * off / bandwidth)
        total += amplitude * kernel / (1e-5 + kernel.sum()) + 1 / (2 * min(grid_size) - 1) ** 2
    return total / total.sum()


def grid_sample(image, grid, *, align_corners):
    """``torch.nn.functional.grid_sample`` with zeros beyond the border, of an (h, w, c) image: (c, H, W)."""
    padded = np.pad(np.asarray(image, np.float64), ((1, 1), (1, 1), (0, 0)))
    places = []
    for axis, length in ((0, image.shape[1]), (1, image.shape[0])):
        centre = (grid[..., axis] + 1) / 2
        places.append((centre * (length - 1) if align_corners else centre * length - 0.5) + 1)
    x, y = places
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, padded.shape[1] - 1), np.minimum(y0 + 1, padded.shape[0] - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    top = (1 - fx) * padded[y0, x0] + fx * padded[y0, x1]
    bottom = (1 - fx) * padded[y1, x0] + fx * padded[y1, x1]
    return np.moveaxis((1 - fy) * top + fy * bottom, -1, 0)


def adaptive_means(image, size):
    """``AdaptiveAvgPool2d`` of an (h, w, c) image: (c, rows, cols)."""
    (height, width), (rows, cols) = image.shape[:2], size
    cells = [
        [
            image[
                i * height // rows : -(-(i + 1) * height // rows),
                j * width // cols : -(-(j + 1) * width // cols),
            ].mean((0, 1))
            for j in range(cols)
        ]
        for i in range(rows)
    ]
    return np.moveaxis(np.array(cells), -1, 0)


def pixel_centres(length):
    return (2 * np.arange(length) + 1) / length - 1


def capped_places(places, least, most):
    """Places along an axis, to whose density in the image one number is added before it is cut, found by bracketing."""
    knots, reached = (
        np.array([-1.0, *places, 1.0]) / 2,
        np.array([0, *(np.arange(len(places)) + 0.5), len(places)]),
    )
    density, ways = np.diff(reached) / len(places) / np.diff(knots), np.diff(knots)
    excess = lambda number: (np.clip(density + number, least, most) * ways).sum() - 1  # noqa: E731
    density = np.clip(density + scipy.optimize.brentq(excess, -density.max(), most, xtol=1e-15), least, most)
    cumulative = np.concatenate([[0], np.cumsum(density * ways)])
    return 2 * np.interp(reached[1:-1] / len(places), cumulative, knots)


def bilinear(image, grid):
    """Values of an (h, w, c) image at an (H, W, 2) grid of (x, y) in [-1, 1], the border's value beyond it: (c, H, W)."""
    height, width, _ = image.shape
    x = np.clip(((grid[..., 0] + 1) * width - 1) / 2, 0, width - 1)
    y = np.clip(((grid[..., 1] + 1) * height - 1) / 2, 0, height - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    source = np.asarray(image, np.float64)
    top = (1 - fx) * source[y0, x0] + fx * source[y0, x1]
    bottom = (1 - fx) * source[y1, x0] + fx * source[y1, x1]
    return np.moveaxis((1 - fy) * top + fy * bottom, -1, 0)


def supersampled(image, grid, points=16):
    """Means over points x points bilinear values to an output pixel; the grid is bilinear between its points, and on beyond."""
    source, bands = image.astype(np.float64), []
    across = _between(grid.shape[1], points)
    for row in _between(grid.shape[0], points).reshape(grid.shape[0], points, grid.shape[0]):
        fine = np.einsum("ai,bj,ijc->abc", row, across, grid.astype(np.float64), optimize=True)
        values = bilinear(source, fine)
        bands.append(values.reshape(len(values), points, -1, points).mean(axis=(1, 3)))
    return np.stack(bands, axis=1)


def footprint_mean(image, grid):
    """What anti-aliased sampling is defined as, a source pixel at a time: (c, H, W)."""
    height, width, channels = image.shape
    rows, cols = grid.shape[:2]
    step = np.stack([_step(grid, 1), _step(grid, 0)], axis=-1) * [[width / 2], [height / 2]]
    step[np.abs(step) > [[2 * width], [2 * height]]] = (
        0  # of a grid torn apart, which says nothing of a footprint
    )
    widest = 16 * np.array([[width / cols, width / rows], [height / cols, height / rows]])
    step = np.clip(step, -widest, widest)
    steep = step[..., 1, :]  # the smaller slope is reduced, to half if it is small
    steep *= (1 + steep**2 / np.maximum((steep**2).max(axis=-1, keepdims=True), 1e-12)) / 2
    bend = _bend(grid * [width / 2, height / 2], np.minimum(2 * np.array([width, height])[:, None], widest))
    mean = np.zeros((channels, rows, cols))
    for i, j in np.ndindex(rows, cols):
        values, vectors = np.linalg.eigh(step[i, j] @ step[i, j].T)
        (xx, xy), (_, yy) = vectors @ np.diag(np.maximum(values, 1)) @ vectors.T
        down, lean = np.sqrt(yy), xy / yy
        across = np.sqrt(xx - xy**2 / yy)
        x, y = (grid[i, j] + 1) * [width / 2, height / 2] + bend[i, j]
        for row, part in _under(y, down):
            source = image[np.clip(row, 0, height - 1)].astype(np.float64)
            for column, share in _under(x + lean * (row + 0.5 - y), across):
                mean[:, i, j] += part * share * source[np.clip(column, 0, width - 1)] / (across * down)
    return mean


def _bend(points, longest):
    """How far the mean of bilinear points over a pixel is from its own, next to steps of at most ``longest`` (2, 2), by axis and direction."""
    bend, near = np.zeros(points.shape), np.ones(points.shape, bool)
    for axis, most in ((1, longest[:, 0]), (0, longest[:, 1])):
        edge = [(1, 1) if n == axis else (0, 0) for n in range(3)]
        steps = np.diff(np.pad(points, edge, "edge"), axis=axis)
        first, last = (np.take(steps, np.arange(k, k + points.shape[axis]), axis) for k in (0, 1))
        near &= (abs(first) <= most) & (abs(last) <= most)
        inner = np.take(steps, np.arange(1, points.shape[axis]), axis)
        change = np.pad(np.diff(inner, axis=axis), edge) if points.shape[axis] > 2 else np.zeros(points.shape)
        bend += change / 8
    return np.where(near, bend, 0)


def area_mean(image, size):
    """The mean of an (h, w, c) image over each of size's cells, pixels counted by the part inside: (c, rows, cols)."""
    down, across = (_overlap(n, cells) for n, cells in zip(image.shape[:2], size, strict=True))
    return np.einsum("ih,jw,hwc->cij", down, across, image.astype(np.float64), optimize=True)


def psnr(actual, expected):
    """Peak signal-to-noise ratio in decibels, of values in [0, 1]."""
    error = np.asarray(actual, np.float64) - np.asarray(expected, np.float64)
    return float(-10 * np.log10(np.mean(error**2)))


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


def _under(middle, length):
    """Pixels under an interval, and how much of each is inside."""
    first, last = middle - length / 2, middle + length / 2
    return [(k, min(last, k + 1) - max(first, k)) for k in range(int(np.floor(first)), int(np.ceil(last)))]


def _step(grid, axis):
    """Central differences, one-sided at the ends; of one point alone, the whole length."""
    if grid.shape[axis] == 1:
        return np.zeros_like(grid) + [[0.0, 2.0], [2.0, 0.0]][axis]
    return np.gradient(grid, axis=axis)


def _between(length, points):
    """Row k: weights of pixel centres at the k-th of length x points places, linear between them and on beyond."""
    place = (np.arange(length * points) + 0.5) / points - 0.5
    below = np.clip(np.floor(place), 0, max(length - 2, 0)).astype(int)
    weights = np.zeros((len(place), length))
    weights[np.arange(len(place)), below] = 1 - (place - below) * (length > 1)
    weights[np.arange(len(place)), np.minimum(below + 1, length - 1)] += (place - below) * (length > 1)
    return weights


def chosen(scores, noise, k, sigma):
    """(draws, k, positions): the one-hot rows of each draw's k highest, by position; in the scores' own type."""
    rows = np.sort(np.argsort(-(scores + sigma * noise), axis=1)[:, :k], axis=1)
    return np.eye(len(scores))[rows]


def perturbed_topk(scores, noise, k, sigma):
    """(k, positions): the mean over the draws (Cordonnier et al. 2021, eq. 5)."""
    return chosen(scores, noise, k, sigma).mean(0)


def diagonal_gradient(scores, noise, k, sigma, upstream):
    """Each position's own noise where it was chosen: the published backward pass."""
    slope = (chosen(scores, noise, k, sigma) * noise[:, None].astype(np.float64)).mean(0) / sigma
    return (upstream * slope).sum(0)


def relative_gradient(scores, noise, k, sigma, upstream):
    """The same of an upstream without its weighted mean, row by row."""
    mean = (perturbed_topk(scores, noise, k, sigma) * upstream).sum(1, keepdims=True)
    return diagonal_gradient(scores, noise, k, sigma, upstream - mean)


def full_gradient(scores, noise, k, sigma, upstream):
    """Covariance of what a draw is worth with its noise (Berthet et al. 2020, prop. 3.1), as of a sample."""
    worth = (chosen(scores, noise, k, sigma) * upstream).sum((1, 2))
    return [np.cov(worth, one)[0, 1] / sigma for one in noise.T.astype(np.float64)]


def means_over_cells(weights, cells):
    """Mean over each of (rows, cols) even cells of a map that is linear between nodes, the outermost on the edges.

    By a sum over points between which no node lies, so that the sum is the integral.
    """
    values = np.asarray(weights, np.float64)
    for axis, (nodes, parts) in enumerate(zip(np.shape(weights), cells, strict=True)):
        points = parts * max(nodes - 1, 1)
        place = (np.arange(points) + 0.5) / points
        node = np.linspace(0, 1, nodes) if nodes > 1 else np.array([0.5])
        fine = np.apply_along_axis(
            lambda line, at=place, there=node: np.interp(at, there, line), axis, values
        )
        split = np.split(fine, parts, axis=axis)
        values = np.stack([part.mean(axis) for part in split], axis=axis)
    return values
