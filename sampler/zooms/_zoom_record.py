"""The record of a zoom, by which coordinates in a zoomed image can be converted to pixels of its original."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.grids import FIRST_SETTINGS, GridKeywords, GridSettings, zoom_grid
from foveal.sampler.zooms._as_published import in_one_frame
from foveal.sampler.zooms._saliency_sampler import SaliencySampler
from foveal.sampler.zooms._uniform_sampler import UniformSampler
from foveal.sampler.zooms._zoom_needs import unwrapped

_VERSION = 2
_SETTINGS = tuple(each.name for each in fields(GridSettings))


@dataclass(frozen=True, slots=True, eq=False)
class ZoomRecord(GridKeywords):
    """One image's zoom in compact form: its saliency, four kilobytes, rather than its grid, four hundred.

    ``foveal zoom`` keeps it beside each zoomed image, as member ``zoom.json``. The settings of the grid are attributes,
    and keywords of the constructor, named as in :func:`zoom_grid`.

    Attributes:
        source_size: (height, width) of the upright original in pixels.
        out_size: (height, width) of the zoomed image.
        saliency: (rows, cols) float32.

    Example:
        >>> record = ZoomRecord.from_json(json.loads(sample["zoom.json"]))
        >>> [boxes] = unwarp_boxes([found], record.grid(), record.source_size)
    """

    source_size: tuple[int, int]
    out_size: tuple[int, int]
    saliency: Float[Tensor, "rows cols"]

    @classmethod
    def of(
        cls,
        zoom: nn.Module,
        saliency: Float[Tensor, "1 rows cols"],
        source_size: tuple[int, int],
    ) -> "ZoomRecord":
        """Return the record of one image, zoomed by a :class:`SaliencySampler` or :class:`UniformSampler`, also a wrapped one.

        Raises:
            TypeError: It is another zoom.
        """
        inner = unwrapped(zoom)
        if not isinstance(inner, SaliencySampler | UniformSampler):
            raise TypeError(
                f"zoom must be a SaliencySampler or UniformSampler, got {type(inner).__name__} – another zoom has no record."
            )
        settings = inner.grid_settings if isinstance(inner, SaliencySampler) else GridSettings()
        return cls(source_size, inner.out_size, saliency[0].detach().float().cpu(), **asdict(settings))

    def grid(self) -> Float[Tensor, "1 height width 2"]:
        """Return where each output pixel looked: (x, y) in [-1, 1] of the upright original, as in :func:`zoom_grid`.

        It equals the sampler's grid up to rounding.
        """
        grid = zoom_grid(self.saliency[None, None], self.out_size, **self._settings)
        if self.compat == "exact":
            return grid
        return in_one_frame(grid, torch.empty(1, 0, *self.source_size), self.compat)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "version": self._grid_settings.version,
            "source_size": list(self.source_size),
            "out_size": list(self.out_size),
            **self._grid_settings.to_json(),
            **map_to_json(self.saliency),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ZoomRecord":
        """Return the record from the dict that :meth:`to_json` returned; other entries are ignored.

        Raises:
            ValueError: It is something else, or from a newer version.
        """
        version = record.get("version")
        if not isinstance(version, int) or not 1 <= version <= _VERSION:
            raise ValueError(f"version must be in [1, {_VERSION}], got {version!r} – use a newer foveal.")
        try:
            saliency = map_from_json(record)
            (height, width), (rows, cols) = record["source_size"], record["out_size"]
            first = {name: record[name] for name in FIRST_SETTINGS}
            later = {name: record[name] for name in _SETTINGS if name in record}
            settings = GridSettings.from_json(first | later)
            return cls((height, width), (rows, cols), saliency, **asdict(settings))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"record must be one that to_json made, got {sorted(record)!r}.") from error

    @property
    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    @property
    def _grid_settings(self) -> GridSettings:
        return GridSettings(**self._settings)


def map_to_json(saliency: Float[Tensor, "rows cols"]) -> dict[str, Any]:
    """Return a map as plain JSON: its size, and its float32 numbers row by row, little-endian, in base64."""
    content = saliency.detach().float().cpu().numpy().astype("<f4").tobytes()
    return {"map_size": list(saliency.shape), "saliency": base64.b64encode(content).decode()}


def map_from_json(record: Mapping[str, Any]) -> Float[Tensor, "_rows _cols"]:
    """Return the map that :func:`map_to_json` wrote; raises KeyError, TypeError or ValueError if it is missing or malformed."""
    values = np.frombuffer(base64.b64decode(record["saliency"], validate=True), "<f4")
    return torch.from_numpy(values.astype(np.float32).reshape(record["map_size"]))
