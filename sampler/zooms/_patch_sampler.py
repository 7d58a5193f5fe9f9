"""Differentiable patch selection: scores a small copy, and cuts the best patches out of the full resolution."""

from collections.abc import Iterable
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foveal.sampler.frames import (
    Border,
    Images,
    as_ragged,
    check_images,
    height_and_width,
    is_dense_float,
    is_transformed,
    whole,
)
from foveal.sampler.kernels import is_exporting
from foveal.sampler.patches import (
    Geometry,
    Gradient,
    PerturbedTopK,
    ScoreNet,
    cut_in_graph,
    cut_patches,
    hard_topk,
    mix_patches,
    patch_corners,
    patch_grids,
    zero_to_one,
)
from foveal.sampler.sampling import lowres as lowres_of
from foveal.sampler.zooms._looked_at import as_weights, map_of, nan_where_lost
from foveal.sampler.zooms._zoomed import Zoomed, zoomed


class PatchSampler(nn.Module):
    """Returns K patches of each image at full resolution (Cordonnier et al., CVPR 2021).

    images -> :func:`lowres` -> scores -> :class:`PerturbedTopK` -> patches. In training, with a scorer that requires
    gradients, each patch is the mean over the positions that the perturbed choice picked, weighted by how often, and the
    gradient reaches the scorer through these weights. With ``eval()``, or if nothing requires gradients, they are cut out
    at the K best positions. In both cases they are in the order of their positions, by rows. Choice and mixture run in
    float32 also under autocast.

    In a loader, its batches are (batch, k, 3, patch_size, patch_size). ``saliency`` is the softmax of the scores before
    they are stretched to [0, 1], as :func:`saliency_entropy` needs it. ``grid`` is where each pixel of the patches looks
    (on average, for a mixture), and ``grid.mean((2, 3))`` are the positions of the patches, for :class:`PatchTransformer`.

    Args:
        k: Number of patches of each image.
        patch_size: Their height and width in pixels of the original.
        score: A module from (batch, 3, height, width) in [0, 1] to scores (batch, 1, rows, cols). Its ``first_centre_px``
            and ``stride_px`` say where its cells look; without them, the cells tile the image. :class:`ScoreNet` if
            None.
        lowres_size: Height and width in pixels of the copy that is scored. With :class:`ScoreNet`, patches are ``8 /
            lowres_size`` of the image apart; smaller patches leave gaps between them.
        geometry: ``"centred"`` centres each patch on the region that was scored, and repeats the image's border beyond
            it. ``"published"`` is the published layout, with zeros beyond the border, which places patches as if the
            scores tiled the image, although they do not.
        sigma: As in :class:`PerturbedTopK`, whose scores are stretched to [0, 1]; ``topk.anneal`` lowers it.
        samples: As in :class:`PerturbedTopK`.
        gradient: As in :class:`PerturbedTopK`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> patches = PatchSampler(5, 100)
        >>> images, grid, saliency = patches([torch.zeros(3000, 4000, 3, dtype=torch.uint8)])
        >>> images.shape, saliency.shape
        (torch.Size([1, 5, 3, 100, 100]), torch.Size([1, 1, 31, 31]))
    """

    source_px: None = None
    takes_deep = True

    def __init__(
        self,
        k: int,
        patch_size: int,
        *,
        score: nn.Module | None = None,
        lowres_size: int | tuple[int, int] = 256,
        geometry: Geometry = "centred",
        sigma: float = 0.05,
        samples: int = 500,
        gradient: Gradient = "diagonal",
    ) -> None:
        super().__init__()
        self.patch_size = whole(patch_size, "patch_size")
        if geometry not in get_args(Geometry):
            raise ValueError(f"geometry must be one of {get_args(Geometry)!r}, got {geometry!r}.")
        self.topk = PerturbedTopK(k, sigma=sigma, samples=samples, gradient=gradient)
        self.score = ScoreNet() if score is None else score
        self.lowres_size = height_and_width(lowres_size, "lowres_size")
        self.geometry: Geometry = geometry
        self.border: Border = "replicate" if geometry == "centred" else "zeros"

    def forward(
        self,
        images: Images,
        lowres: Float[Tensor, "batch channel rows cols"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Zoomed:
        """Cut patches out of a batch.

        Args:
            images: (height, width, 3) uint8 or uint16 tensors of any sizes, or one (batch, channel, height, width) tensor.
            lowres: The result of ``lowres(images, self.lowres_size)``, if it has been computed already.
            generator: The generator of the noise in training; None for torch's own.

        Returns:
            Images (batch, k, channel, patch_size, patch_size), in [0, 1] from integers, else in their own scale, NaN where the
            scorer returned NaN or infinity for an image; grid (batch, k, patch_size, patch_size, 2), (x, y) beyond [-1, 1] where
            a patch reaches beyond the image; saliency (batch, 1, rows, cols).

        Raises:
            ValueError: Images have another shape, or there are fewer scores than patches.
        """
        check_images(images)
        small = lowres_of(images, self.lowres_size) if lowres is None else lowres
        scores = self.score(as_weights(small, self.score))
        with torch.autocast(small.device.type, enabled=False):
            scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
            patches, grid = self._patches(images, scores, generator)
            saliency = map_of(scores, self.score, small.shape[0])
            return zoomed(nan_where_lost(patches, saliency), grid, saliency)

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return f"patch_size={self.patch_size}, lowres_size={self.lowres_size}, geometry={self.geometry!r}"

    def _patches(
        self, images: Images, scores: Float[Tensor, "batch 1 rows cols"], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, "batch k channel size size"], Float[Tensor, "batch k size size 2"]]:
        flat = scores.flatten(1)
        soft = self.training and (scores.requires_grad or is_transformed(scores))
        cells = (scores.shape[2], scores.shape[3])
        if is_exporting() and soft:
            raise ValueError("training must be False to export a PatchSampler, got True – call eval().")
        if not soft and (is_exporting() or is_transformed()):
            return self._in_graph(images, hard_topk(flat, self.topk.k), cells)
        chosen = self.topk(zero_to_one(flat), generator) if soft else hard_topk(flat, self.topk.k)
        each = [
            self._of_one(image, choice, cells) for image, choice in zip(_as_hwc(images), chosen, strict=True)
        ]
        if not each:
            return self._nothing(images, scores)
        patches, grids = zip(*each, strict=True)
        return torch.stack(patches), torch.stack(grids)

    def _of_one(
        self,
        image: Tensor,
        choice: Float[Tensor, "k positions"] | Int[Tensor, " k"],
        cells: tuple[int, int],
    ) -> tuple[Float[Tensor, "k channel size size"], Float[Tensor, "k size size 2"]]:
        size = (image.shape[0], image.shape[1])
        corners = self._corners(size, cells)
        if choice.is_floating_point():
            patches = mix_patches(image, corners, choice, self.patch_size, self.border)
            where = choice @ corners.to(choice)
        else:
            where = corners[choice.cpu()]
            patches = cut_patches(image, where, self.patch_size, self.border)
            where = where.to(image.device, torch.float32)
        return patches, patch_grids(where, size, self.patch_size)

    def _in_graph(
        self, images: Images, chosen: Int[Tensor, "batch k"], cells: tuple[int, int]
    ) -> tuple[Float[Tensor, "batch k channel size size"], Float[Tensor, "batch k size size 2"]]:
        """Cut the patches of a whole tensor at once, so that the program takes any number of images."""
        patches, grids = [], []
        for batch, choice in _as_batches(images, chosen):
            size = (batch.shape[1], batch.shape[2])
            corners = self._corners(size, cells).to(batch.device)[choice]
            patches.append(cut_in_graph(batch, corners, self.patch_size, self.border))
            grids.append(patch_grids(corners.float(), size, self.patch_size))
        return torch.cat(patches), torch.cat(grids)

    def _corners(self, size: tuple[int, int], cells: tuple[int, int]) -> Int[Tensor, "positions 2"]:
        return patch_corners(
            self.score, size, self.lowres_size, cells, patch_size=self.patch_size, geometry=self.geometry
        )

    def _nothing(
        self, images: Images, scores: Float[Tensor, "0 1 rows cols"]
    ) -> tuple[Float[Tensor, "0 k channel size size"], Float[Tensor, "0 k size size 2"]]:
        """The result for an empty batch, with the right shapes."""
        channels = images.shape[1] if isinstance(images, Tensor) else 3
        shape = (0, self.topk.k, channels, self.patch_size, self.patch_size)
        return scores.new_zeros(shape), scores.new_zeros(*shape[:2], *shape[3:], 2)


def _as_hwc(images: Images) -> Iterable[Tensor]:
    if is_dense_float(images):
        return list(_wide(images).unbind(0))  # type: ignore[arg-type]
    return (image if image.dtype == torch.uint8 else image.float() / 65535 for image in as_ragged(images))


def _as_batches(
    images: Images, chosen: Int[Tensor, "batch k"]
) -> list[tuple[Tensor, Int[Tensor, "_batch k"]]]:
    if isinstance(images, Tensor):
        return [(_wide(images), chosen)]
    return [(image[None], chosen[k : k + 1]) for k, image in enumerate(_as_hwc(images))]


def _wide(images: Tensor) -> Tensor:
    """Return (batch, height, width, channel), floating-point values as at least float32."""
    least = torch.promote_types(images.dtype, torch.float32) if images.is_floating_point() else images.dtype
    return images.to(least).permute(0, 2, 3, 1)
