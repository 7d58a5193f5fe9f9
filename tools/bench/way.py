"""One way to set up a loader, as benchmarks and ``foveal doctor`` compare them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from foveal.pipeline import PixelRule, ZoomLoader
from foveal.pipeline.decoding import PLAIN, DecodeMode
from foveal.sampler import SaliencySampler
from foveal.tools.bench._check_loader import FIELDS


@dataclass(frozen=True, slots=True)
class Way:
    """How a loader decodes, zooms, and on which device.

    Attributes:
        decode: As :class:`ZoomLoader` takes it.
        max_zoom: As :class:`SaliencySampler` takes it, but without a bound by default.
        device: The device that decodes and zooms.
    """

    decode: DecodeMode = "auto"
    max_zoom: float | None = None
    device: str = "cpu"

    def __str__(self) -> str:
        bound = "" if self.max_zoom is None else f", max_zoom {self.max_zoom:g}"
        return f"{self.decode}{bound}" + ("" if self.device == "cpu" else f", {self.device}")

    @property
    def name(self) -> str:
        """The name of its row in a table that also has other loaders."""
        return f"Foveal, decode {self}"

    @property
    def is_bounded(self) -> bool:
        """Whether the zoom is bounded, so that images may be decoded at a smaller scale."""
        return self.max_zoom is not None

    def trainable_zoom(self, size: int) -> SaliencySampler:
        """Return a sampler with the default network, which has the same weights every time."""
        torch.manual_seed(0)
        return SaliencySampler(size, max_zoom=self.max_zoom).to(self.device)

    def zoom(self, size: int) -> SaliencySampler:
        """Return the same, frozen."""
        return self.trainable_zoom(size).eval().requires_grad_(requires_grad=False)

    def loader(
        self,
        urls: str | list[str],
        size: int,
        batch_size: int,
        fields: Sequence[str] = FIELDS,
        rule: PixelRule = PLAIN,
    ) -> ZoomLoader:
        """Return the loader."""
        zoom, named = self.zoom(size), asdict(rule)
        return ZoomLoader(urls, zoom, batch_size=batch_size, fields=fields, decode=self.decode, **named)
