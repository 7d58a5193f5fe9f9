"""Saliency without parameters: the parts of an image that are unexpected from its log spectrum (Hou & Zhang, CVPR 2007).

Natural images share the shape of their log amplitude spectrum. Its smooth part is common to all images; the residual,
recombined with the phase, is large where the image differs from its own texture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import Frame, check_channels, constant, rows_and_cols, to_lattice, whole
from foveal.sampler.saliency._framed_map import FramedMap

# Amplitudes below this are noise: it is that of white noise of 1/1000 of full scale. A flat image consists of noise alone.
_NOISE = 0.1
# Far below the energy that any texture has.
_NOTHING = 1e-12
# Weights below this change no digit of float32. Products with them are subnormal numbers, for which a processor with AVX-512
# takes ten times as long.
_NO_WEIGHT = 1e-10
# As published, and as weights have it that were saved before there was a choice.
_SQUARED = 2.0


class SpectralSaliency(FramedMap):
    """Logits of the spectral residual, for zooming without a trained network.

    For brightness, red against green, and blue against yellow: log amplitude of the FFT, minus its 3 x 3 mean, back
    through the FFT with the phase; the magnitude is raised to ``power``. The three, each as a multiple of its mean, are
    added, smoothed by a Gaussian, and resized to the map. The published method squares the magnitude. A higher power
    gives more of the map to the strongest departures and less to many weak ones: on images in which one small thing
    counts, 6 finds it more often.

    The published method takes grey images. With opponent colours, an object that differs only in colour stands out; with
    red, green and blue, differences of brightness would hide it in all three channels. The image is mirrored
    at its right and lower edges first: the FFT takes it for periodic, and without this the jump from one edge to the
    opposite one would be the most salient thing in most photographs. The FFT of a mirrored image is computed as its discrete
    cosine transform, which is real and a quarter as large.

    A share of each map is spread evenly, so that the grid still covers everything, and the logarithm of the sum is
    returned. With a sampler's ``temperature`` of 1 the zoom is mild; 0.5 squares the map and zooms strongly.

    Args:
        map_size: (rows, cols) of the map, or one number for both.
        analysis_px: Side of the square on which the spectrum is computed. A smaller one finds larger objects; the
            published one is 64.
        sigma: Standard deviation of the Gaussian, as a share of the side.
        uniform_share: Part of the map's mass that is spread evenly, in (0, 1].
        power: What the residual's magnitude is raised to, above 0. 2 is published.
        frame: ``"nodes"``, as samplers read a map; ``"cells"`` for a map whose cells tile the image, as scores of a
            :class:`PatchSampler` do, and as earlier versions had it everywhere.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        map_size: int | tuple[int, int] = (31, 31),
        *,
        analysis_px: int = 64,
        sigma: float = 0.03,
        uniform_share: float = 0.1,
        power: float = _SQUARED,
        frame: Frame = "nodes",
    ) -> None:
        super().__init__(frame)
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma!r}.")
        if not power > 0:
            raise ValueError(f"power must be positive, got {power!r}.")
        if not 0 < uniform_share <= 1:
            raise ValueError(f"uniform_share must be in (0, 1], got {uniform_share!r}.")
        self.map_size = rows_and_cols(map_size)
        self.analysis_px = whole(analysis_px, "analysis_px", least=4)
        self.sigma = float(sigma)
        self.uniform_share = float(uniform_share)
        self.power = float(power)
        self.register_state_dict_post_hook(_note_power)  # type: ignore[no-untyped-call]

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return log saliency, one number per cell of the map; the exponentials sum to one. float64 if the images are, else float32."""
        return self.of_powers(small, (self.power,))

    def of_powers(
        self, small: Float[Tensor, "batch 3 height width"], powers: Sequence[float]
    ) -> Float[Tensor, "batch powers rows cols"]:
        """Return what :meth:`forward` would return with each of some powers; the spectrum is computed once."""
        check_channels(small, 3, type(self).__name__)
        if small.shape[0] == 0:  # of which there are no means
            return small.new_empty(0, len(powers), *self.map_size)
        with torch.autocast(small.device.type, enabled=False):
            wide = small.to(torch.promote_types(small.dtype, torch.float32))
            squared = _spectral_residual(_spectrum(wide, self.analysis_px)).to(wide.dtype).square()
            # Black has no spectrum at all. Multiples of the mean stay in float32's range at any power.
            relative = _of_mean(squared + _NOTHING)
            each = torch.stack([relative ** (power / 2) for power in powers], dim=1)
            return self._log_share(_of_mean(each).sum(dim=2))

    def _log_share(
        self, energy: Float[Tensor, "batch powers side side"]
    ) -> Float[Tensor, "batch powers rows cols"]:
        down, across = (
            _smooth_reading((nodes, self.analysis_px), self.sigma, self.frame, energy.dtype, energy.device)
            for nodes in self.map_size
        )
        found = down @ energy @ across.mT
        share = found / found.sum(dim=(2, 3), keepdim=True)
        rows, cols = self.map_size
        logits: Tensor = ((1 - self.uniform_share) * share + self.uniform_share / (rows * cols)).log()
        return logits

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *others: Any
    ) -> None:
        if "version" in local_metadata:
            self.power = local_metadata.get("power", _SQUARED)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def _note_power(
    module: SpectralSaliency, _state_dict: Any, _prefix: str, local_metadata: dict[str, Any]
) -> None:
    """Write the power beside the weights of what was trained with it: they are wrong with another."""
    local_metadata["power"] = module.power


def _of_mean(energy: Float[Tensor, "*batch side side"]) -> Float[Tensor, "*batch side side"]:
    return energy / energy.mean(dim=(-2, -1), keepdim=True)


def _spectrum(rgb: Float[Tensor, "batch 3 _height _width"], side: int) -> Float[Tensor, "batch 3 side side"]:
    """Return the cosine coefficients of brightness, of red against green, and of blue against yellow.

    The image is resized to a square first, as ``interpolate(mode="bilinear", antialias=True)`` does it. Resizing and
    transforming are one product of matrices along each axis.
    """
    # CUDA may be set to multiply float32 in TF32, whose ten bits lose the high frequencies; float64 is never reduced.
    exact = rgb.double() if rgb.is_cuda else rgb
    down, across = (_resized_cosines((side, length), exact.dtype, rgb.device) for length in rgb.shape[2:])
    red, green, blue = (down @ (exact @ across.mT)).unbind(1)
    return torch.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], dim=1)


def _spectral_residual(
    spectrum: Float[Tensor, "batch channel side side"],
) -> Float[Tensor, "batch channel side side"]:
    """Return the residual, from cosine coefficients instead of the Fourier spectrum.

    The spectrum of an image that is mirrored at its right and lower edges consists of its cosine coefficients, except for
    a phase that is the same for every image. With amplitude A and the 3 x 3 mean m of its logarithm, the coefficients'
    phase times ``exp(log A - m)`` is the coefficient divided by ``exp(m)``.
    """
    side, kind = spectrum.shape[-1], spectrum.dtype
    log = (spectrum.abs() / _NOISE).log1p()  # of the amplitude in multiples of the noise
    mean = _mean_of_three(side, kind, spectrum.device)
    flat = spectrum * (mean @ log @ mean.mT).neg().exp()
    inverse = _inverse_cosines(side, kind, spectrum.device)
    back: Tensor = inverse @ flat @ inverse.mT / _NOISE
    return back


def _cosines(side: int) -> Float[Tensor, "side side"]:
    """Return the matrix of the discrete cosine transform along one axis: coefficient, then pixel."""
    number, pixel = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side, dtype=torch.float64)
    # A tensor, because torch's exporter to ONNX writes a Python number with float32's digits: brightness would leak into
    # all coefficients, and most into the high ones, which have the residual.
    pi = torch.tensor(torch.pi, dtype=torch.float64)
    return 2 * torch.cos(pi * number * (2 * pixel + 1) / (2 * side))


@constant
def _resized_cosines(
    sides: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "side length"]:
    """Return the matrix that resizes an axis, ``sides[1]`` pixels long, to ``sides[0]``, and transforms it."""
    return (_cosines(sides[0]) @ _resizing(*sides)).to(device, dtype)


@constant
def _inverse_cosines(side: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "side side"]:
    """Return the matrix of the inverse transform: pixel, then coefficient."""
    inverse = _cosines(side).mT / (2 * side)
    inverse[:, 0] /= 2
    return inverse.to(device, dtype)


def _resizing(side: int, length: int) -> Float[Tensor, "side length"]:
    """Return the weights of a triangle as wide as the reduction asks for, or of linear interpolation."""
    step = length / side
    centre = (torch.arange(side, dtype=torch.float64)[:, None] + 0.5) * step
    away = (torch.arange(length, dtype=torch.float64) + 0.5 - centre).abs()
    weight = (1 - away / max(step, 1.0)).clamp(min=0)
    return weight / weight.sum(dim=1, keepdim=True)


@constant
def _mean_of_three(side: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "side side"]:
    """Return the matrix that takes the mean of neighbours.

    The spectrum continues as its mirror image before the first coefficient, and with zeros after the last, whose logarithm
    in multiples of the noise is zero.
    """
    number = torch.arange(side)
    near = ((number[:, None] - number).abs() <= 1).double()
    near[0, 1] += 1
    return (near / 3).to(device, dtype)


@constant
def _smooth_reading(
    sides: tuple[int, int], sigma: float, frame: Frame, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "nodes side"]:
    """Return the matrix that smooths an axis, ``sides[1]`` cells long, and reads it at the ``sides[0]`` places of the map."""
    nodes, side = sides
    if frame == "nodes":
        each = torch.eye(side, dtype=torch.float64)[:, None, :, None]  # a column of cells for each cell
        reading = to_lattice(each, (nodes, 1))[:, 0, :, 0].mT
    else:
        reading = _resizing(nodes, side)
    weights = reading @ _mirrored_gaussian(side, sigma)
    return weights.where(weights > _NO_WEIGHT, 0).to(device, dtype)


def _mirrored_gaussian(side: int, sigma: float) -> Float[Tensor, "side side"]:
    """Row i: weights of a Gaussian around i; weights beyond an edge are mirrored back inside."""
    distance = torch.arange(side)[:, None] - torch.arange(-side, 2 * side)
    weight = torch.exp(-0.5 * (distance.double() / (sigma * side)) ** 2)
    left, middle, right = weight.chunk(3, dim=1)
    folded = left.flip(1) + middle + right.flip(1)
    return folded / folded.sum(dim=1, keepdim=True)
