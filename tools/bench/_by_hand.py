"""A loader as users write it by hand, for comparison: a DataLoader, Pillow, ``float()`` and ``grid_sample``."""

import io
import os
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from foveal.sampler import SaliencySampler, zoom_grid
from foveal.sampler.saliency import softmax_map
from foveal.shards import Shards
from foveal.tools.pictures.originals import encoded_image


def workers() -> int:
    """Return how many processes decode."""
    return len(os.sched_getaffinity(0))


class PillowImages(Dataset[Tensor]):
    """The images of some shards, decoded by Pillow: upright, RGB.

    Args:
        urls: The shards.
    """

    def __init__(self, urls: list[str]) -> None:
        self.shards = Shards(urls)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.shards)

    def __getitem__(self, ordinal: int) -> UInt8[Tensor, "height width 3"]:
        """Read and decode one image."""
        image = Image.open(io.BytesIO(encoded_image(self.shards[ordinal])))
        return torch.from_numpy(np.array(ImageOps.exif_transpose(image).convert("RGB")))


class HandWrittenLoader:
    """A worker process for each available processor decodes, and the main process zooms.

    Args:
        urls: The shards.
        zoom: The sampler whose saliency network, settings and output size are used.
        batch_size: Images in a batch.
    """

    def __init__(self, urls: list[str], zoom: SaliencySampler, *, batch_size: int) -> None:
        self.zoom = zoom
        self.batches = DataLoader(
            PillowImages(urls),
            batch_size=batch_size,
            num_workers=workers(),
            collate_fn=list,  # of different sizes
            persistent_workers=True,
            multiprocessing_context="spawn",  # a fork would inherit locks that DALI's threads hold
        )

    def __iter__(self) -> Iterator[Float[Tensor, "batch 3 height width"]]:
        """Iterate over one epoch."""
        for images in self.batches:
            with torch.no_grad():
                yield torch.cat([self._zoomed(image) for image in images])

    def _zoomed(self, image: UInt8[Tensor, "height width 3"]) -> Float[Tensor, "1 3 out_height out_width"]:
        dense = image.permute(2, 0, 1)[None].float() / 255
        small = F.interpolate(dense, self.zoom.lowres_size, mode="bilinear")
        logits = self.zoom.saliency(small)
        grid = zoom_grid(softmax_map(logits, self.zoom.temperature), self.zoom.out_size)
        return F.grid_sample(dense, grid, padding_mode="border", align_corners=False)
