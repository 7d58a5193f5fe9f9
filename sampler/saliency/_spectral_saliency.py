"""Saliency without parameters: the parts of an image that are unexpected from its log spectrum (Hou & Zhang, CVPR 2007).

Natural images share the shape of their log amplitude spectrum. Its smooth part is common to all images; the residual,
recombined with the phase, is large where the image differs from its own texture.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from foveal.sampler.frames import Frame, constant, to_lattice
from foveal.sampler.saliency._framed_map import FramedMap

# Amplitudes below this are noise: it is that of white noise of 1/1000 of full scale. A flat image consists of noise alone.
_NOISE = 0.1
# Far below the energy that any texture has.
_NOTHING = 1e-12
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
        map_size: (rows, cols) of the map.
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
        map_size: tuple[int, int] = (31, 31),
        *,
        analysis_px: int = 64,
        sigma: float = 0.03,
        uniform_share: float = 0.1,
        power: float = _SQUARED,
        frame: Frame = "nodes",
    ) -> None:
        super().__init__(frame)
        if analysis_px < 4:
            raise ValueError(f"analysis_px must be at least 4, got {analysis_px!r}.")
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma!r}.")
        if not power > 0:
            raise ValueError(f"power must be positive, got {power!r}.")
        if not 0 < uniform_share <= 1:
            raise ValueError(f"uniform_share must be in (0, 1], got {uniform_share!r}.")
        self.map_size = map_size
        self.analysis_px = analysis_px
        self.sigma = sigma
        self.uniform_share = uniform_share
        self.power = power
        self.register_state_dict_post_hook(_note_power)  # type: ignore[no-untyped-call]

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return log saliency, one number per cell of the map; the exponentials sum to one."""
        return self.of_powers(small, (self.power,))[0]

    def of_powers(
        self, small: Float[Tensor, "batch 3 height width"], powers: Sequence[float]
    ) -> list[Float[Tensor, "batch 1 rows cols"]]:
        """Return what :meth:`forward` would return with each of some powers; the spectrum is computed once."""
        if small.shape[0] == 0:  # of which there are no means
            return [small.new_empty(0, 1, *self.map_size) for _ in powers]
        with torch.autocast(small.device.type, enabled=False):
            side = (self.analysis_px, self.analysis_px)
            square = interpolate(small.float(), side, mode="bilinear", align_corners=False, antialias=True)
            squared = _spectral_residual(_opponent_colours(square)).square()
            # Black has no spectrum at all. Multiples of the mean stay in float32's range at any power.
            relative = _of_mean(squared + _NOTHING)
            return [self._log_share(relative ** (power / 2)) for power in powers]

    def _log_share(
        self, each: Float[Tensor, "batch channel side side"]
    ) -> Float[Tensor, "batch 1 rows cols"]:
        energy = _of_mean(each).sum(dim=1, keepdim=True)
        blur = _mirrored_gaussian(self.analysis_px, self.sigma, each.device)
        found = self._resized(blur @ energy @ blur.T)
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

    def _resized(self, energy: Float[Tensor, "batch 1 side side"]) -> Float[Tensor, "batch 1 rows cols"]:
        if self.frame == "nodes":
            return to_lattice(energy, self.map_size)
        return interpolate(energy, self.map_size, mode="bilinear", align_corners=False, antialias=True)


def _note_power(
    module: SpectralSaliency, _state_dict: Any, _prefix: str, local_metadata: dict[str, Any]
) -> None:
    """Write the power beside the weights of what was trained with it: they are wrong with another."""
    local_metadata["power"] = module.power


def _of_mean(energy: Float[Tensor, "batch channel side side"]) -> Float[Tensor, "batch channel side side"]:
    return energy / energy.mean(dim=(2, 3), keepdim=True)


def _opponent_colours(rgb: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch 3 side side"]:
    """Return brightness, red against green, and blue against yellow."""
    red, green, blue = rgb.unbind(1)
    return torch.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], dim=1)


def _spectral_residual(
    image: Float[Tensor, "batch channel side side"],
) -> Float[Tensor, "batch channel side side"]:
    """Return the residual, from cosine coefficients instead of the Fourier spectrum.

    The spectrum of an image that is mirrored at its right and lower edges consists of its cosine coefficients, except for
    a phase that is the same for every image.
    """
    # CUDA may be set to multiply float32 in TF32, whose ten bits lose the high frequencies; float64 is never reduced.
    exact = image.double() if image.is_cuda else image
    to_cosines, from_cosines = _cosines(image.shape[-1], exact.dtype, image.device).unbind(0)
    spectrum = to_cosines @ exact @ to_cosines.T
    amplitude = spectrum.abs() + _NOISE
    log = amplitude.log()
    # The spectrum continues as its mirror image before the first coefficient, and with a zero after the last.
    around = pad(pad(log, (1, 0, 1, 0), mode="reflect"), (0, 1, 0, 1), value=math.log(_NOISE))
    residual = log - avg_pool2d(around, kernel_size=3, stride=1)
    back: Tensor = from_cosines.T @ (spectrum / amplitude * residual.exp()) @ from_cosines
    return back.to(image.dtype)


@constant
def _cosines(side: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "2 side side"]:
    """Return the matrices of the discrete cosine transform along one axis, and of its inverse: coefficient, then pixel."""
    number, pixel = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side, dtype=torch.float64)
    forward = 2 * torch.cos(torch.pi * number * (2 * pixel + 1) / (2 * side))
    inverse = forward / (2 * side)
    inverse[0] /= 2
    return torch.stack([forward, inverse]).to(device, dtype)


@constant
def _mirrored_gaussian(side: int, sigma: float, device: torch.device) -> Float[Tensor, "side side"]:
    """Row i: weights of a Gaussian around i; weights beyond an edge are mirrored back inside."""
    distance = torch.arange(side)[:, None] - torch.arange(-side, 2 * side)
    weight = torch.exp(-0.5 * (distance.double() / (sigma * side)) ** 2)
    left, middle, right = weight.chunk(3, dim=1)
    folded = left.flip(1) + middle + right.flip(1)
    return (folded / folded.sum(dim=1, keepdim=True)).to(device, torch.float32)
