"""Mixed resolution: a coarse view of all of the image, and fine cells where its saliency is high, as tokens for a ViT.

The image is cut into equal cells, whatever its size. Each becomes a coarse token; the most salient ones are cut again
into a square of fine tokens each. This is the idea of content-adaptive downsampling (Hesse et al. 2023) at the input: a
node list of the image, of the same length for each image, for a transformer instead of convolutions.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foveal.sampler.frames import (
    Images,
    Views,
    as_ragged,
    cell_means,
    check_images,
    count,
    even_edges,
    grid_form,
    height_and_width,
    identity_grid,
    out_of_views,
    rows_and_cols,
    whole,
)
from foveal.sampler.saliency import SaliencyNeeds, SpectralSaliency
from foveal.sampler.sampling import lowres as lowres_of
from foveal.sampler.sampling import sample
from foveal.sampler.zooms._looked_at import as_weights, map_of, nan_where_lost
from foveal.sampler.zooms._source_px import source_px_for
from foveal.sampler.zooms._zoomed import Zoomed, zoomed


class MixedResolution(nn.Module):
    """Samples each image as tokens: all of it coarsely, and its most salient cells also finely.

    The result's ``images`` are (batch, tokens, 3, patch_size, patch_size), its ``grid`` (batch, tokens, patch_size,
    patch_size, 2). First come the ``rows * cols`` coarse tokens in raster order, including those of refined cells, so
    that the first tokens always show the whole view and a token's number gives its position. Then come the fine ones:
    cell by cell in raster order, and each cell's ``refine * refine`` tokens in raster order, each anti-aliased for its
    own scale. :func:`token_positions` computes position and size of each from the grid, for a position encoding. Every
    image has the same number of tokens, ``tokens``.

    The choice of cells to refine passes no gradient from the pixels to the saliency. The result's ``saliency`` has a
    gradient, so a module can be trained by a loss on it, such as the cross entropy with known positions. Freeze a module
    that is not trained (``requires_grad_(False)``), so that a loader can work ahead. Dense floating-point images receive
    a gradient.

    Args:
        cells: Coarse cells, (rows, cols), or one number for both.
        patch_size: Height and width in pixels of each token, at least 2.
        refined: Number of cells to refine: the most salient ones, and of equally salient ones the upper left.
        refine: Fine tokens along each side of a refined cell.
        saliency: As for :class:`SaliencySampler`: a module from (batch, 3, height, width) in [0, 1] to logits (batch, 1,
            rows,
            cols) of any rows and cols; the saliency of a cell is the mean of the map over it. :class:`SpectralSaliency`
            if None.
        lowres_size: Height and width in pixels of the copy for the saliency module.
        antialias: As in :func:`sample`.

    Raises:
        TypeError: A number is no whole number.
        ValueError: An argument is out of range.

    Example:
        >>> zoom = MixedResolution(7, patch_size=16, refined=8)  # 49 + 8 * 4 tokens
        >>> tokens, grid, saliency = zoom([torch.zeros(3000, 4000, 3, dtype=torch.uint8)])
        >>> tokens.shape, saliency.shape
        (torch.Size([1, 81, 3, 16, 16]), torch.Size([1, 1, 31, 31]))
    """

    takes_deep = True

    def __init__(
        self,
        cells: int | tuple[int, int],
        *,
        patch_size: int = 16,
        refined: int,
        refine: int = 2,
        saliency: nn.Module | None = None,
        lowres_size: tuple[int, int] = (128, 128),
        antialias: bool = True,
    ) -> None:
        super().__init__()
        rows, cols = self.cells = rows_and_cols(cells, "cells")
        self.lowres_size = height_and_width(lowres_size, "lowres_size")
        # A token of one pixel would show no scale.
        self.patch_size = whole(patch_size, "patch_size", least=2)
        self.refine = whole(refine, "refine", least=2)
        self.refined = whole(refined, "refined", least=0)
        if self.refined > rows * cols:
            raise ValueError(f"refined must be from 0 to the {rows * cols} cells there are, got {refined!r}.")
        self.saliency = SpectralSaliency() if saliency is None else saliency
        needs = SaliencyNeeds.of(self.saliency)
        if needs.takes_boxes or needs.takes_maps:
            raise ValueError(
                f"saliency must need nothing but images, got {type(saliency).__name__} – SaliencySampler passes boxes and maps."
            )
        self.antialias = antialias

    @property
    def tokens(self) -> int:
        """Number of tokens of each image: ``rows * cols`` coarse ones, then ``refined * refine**2`` fine ones."""
        rows, cols = self.cells
        return rows * cols + self.refined * self.refine**2

    @property
    def source_px(self) -> tuple[int, int] | None:
        """Height and width in pixels beyond which a larger source (or view of it) shows no more; None without ``antialias``."""
        rows, cols = self.cells
        fine = self.refine if self.refined else 1
        picture = rows * self.patch_size * fine, cols * self.patch_size * fine
        return source_px_for(picture, 1.0, antialias=self.antialias)

    def forward(
        self,
        images: Images,
        lowres: Float[Tensor, "batch channel rows cols"] | None = None,
        views: Views | None = None,
    ) -> Zoomed:
        """Sample a batch as tokens.

        Args:
            images: (height, width, 3) uint8 or uint16 tensors of any sizes, or one (batch, channel, height, width) tensor.
            lowres: The result of ``lowres(images, self.lowres_size, views)``, if it has been computed already.
            views: As :class:`SaliencySampler` takes them.

        Returns:
            The tokens, NaN for images for which the saliency module returned NaN or infinity; their grids in the frame of the
            sources; the saliency in that of the views.

        Raises:
            ValueError: Images or views do not go together, or have another shape.
        """
        check_images(images)
        small = lowres_of(images, self.lowres_size, views) if lowres is None else lowres
        weights = map_of(self.saliency(as_weights(small, self.saliency)), self.saliency, small.shape[0])
        coarse = self._view(1, images).expand(count(images), -1, -1, -1)
        fine = _cut(self._view(self.refine, images), self.cells)[0][self._choose(weights)]
        parts = [
            self._tokens(images, out_of_views(coarse, views)[:, None], self.cells),
            self._tokens(images, out_of_views(fine, views), (self.refine, self.refine)),
        ]
        pixels, grids = (torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True))
        return zoomed(nan_where_lost(pixels.movedim(-1, 2).contiguous(), weights), grids, weights)

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return (
            f"cells={self.cells}, patch_size={self.patch_size}, refined={self.refined}, refine={self.refine}, "
            f"lowres_size={self.lowres_size}, antialias={self.antialias}"
        )

    def _choose(self, weights: Float[Tensor, "batch 1 rows cols"]) -> Int[Tensor, "batch refined"]:
        """Return the numbers of the most salient cells, ascending."""
        means = cell_means(weights.detach().float(), *map(even_edges, self.cells)).flatten(1)
        return means.argsort(dim=1, descending=True, stable=True)[:, : self.refined].sort(dim=1).values

    def _view(self, finer: int, images: Images) -> Float[Tensor, "1 height width 2"]:
        """The grid of all tokens of one scale, as one picture."""
        rows, cols = self.cells
        side = self.patch_size * finer
        return identity_grid((rows * side, cols * side), *grid_form(images))

    def _tokens(
        self, images: Images, pictures: Float[Tensor, "batch pictures height width 2"], cut: tuple[int, int]
    ) -> tuple[Float[Tensor, "batch tokens side side _channel"], Float[Tensor, "batch tokens side side 2"]]:
        """Sample some pictures of each image, with footprints from each picture's own steps, and cut them into tokens."""
        batch, each = pictures.shape[:2]
        grids = pictures.flatten(0, 1)
        if isinstance(images, Tensor) and images.is_floating_point():  # repeating these would copy them
            dense = [sample(images, picture, antialias=self.antialias) for picture in pictures.unbind(1)]
            none = pictures.new_empty(batch, 0, images.shape[1], *pictures.shape[2:4])
            pixels = (torch.stack(dense, dim=1) if dense else none).flatten(0, 1)
        else:
            repeated = [image for image in as_ragged(images) for _ in range(each)]
            pixels = sample(repeated, grids, antialias=self.antialias)
        tokens = each * cut[0] * cut[1]
        first, second = (_cut(part, cut) for part in (pixels.movedim(1, -1), grids))
        shape = (batch, tokens, *second.shape[2:4])
        return first.reshape(*shape, first.shape[-1]), second.reshape(*shape, 2)


def _cut(
    pictures: Float[Tensor, "pictures height width last"], cells: tuple[int, int]
) -> Float[Tensor, "pictures cells _side _side last"]:
    """Cut pictures into squares, in raster order."""
    rows, cols = cells
    number, height, width, last = pictures.shape
    squares = pictures.reshape(number, rows, height // rows, cols, width // cols, last).transpose(2, 3)
    return squares.reshape(number, rows * cols, height // rows, width // cols, last)
