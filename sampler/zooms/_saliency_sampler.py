"""The paper's layer: it computes saliency on a small copy, and samples the full resolution where the saliency is high."""

import io
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal._choices import FWHM_CELLS, MAX_ZOOM, TEMPERATURE
from foveal.sampler.frames import (
    Images,
    Views,
    boxes_in_views,
    check_images,
    check_tensor,
    height_and_width,
)
from foveal.sampler.grids import Bound, Compat, Family, GridSettings, Marginal, Padding, unchecked_grid
from foveal.sampler.saliency import GivenMap, PriorSaliency, SaliencyNeeds, maps_in_views
from foveal.sampler.sampling import lowres as lowres_of
from foveal.sampler.sampling import pixel_format, sample_as
from foveal.sampler.zooms._as_published import area_lowres, faded, in_one_frame
from foveal.sampler.zooms._checkpoint import describe_network, make_network, read_checkpoint, settings_of
from foveal.sampler.zooms._grid_setting import GridSetting
from foveal.sampler.zooms._looked_at import as_weights, map_of, nan_where_lost
from foveal.sampler.zooms._plain_weights import plain_weights
from foveal.sampler.zooms._source_px import source_px_for
from foveal.sampler.zooms._zoomed import Zoomed, zoomed

_FORM = ("mean", "std", "dtype", "channels_last")


class SaliencySampler(nn.Module):
    """Zooms each image to what its saliency says matters (Recasens et al. 2018).

    images -> :func:`lowres` -> saliency logits -> softmax -> :func:`zoom_grid` -> :func:`sample`. Gradients reach the
    saliency network through the pixels, and the images themselves where they are a floating-point tensor. Softmax and
    grid run in float32 (float64 if the logits are) also under autocast.

    Args:
        out_size: Height and width of the output in pixels, or one number for both.
        saliency: A module from (batch, 3, height, width) in [0, 1] to logits (batch, 1, rows, cols) of any rows and
            cols, of which the first and last lie on the image's edges: :func:`to_lattice` brings the features of a
            convolutional network there. If you have a non-negative map, return its logarithm.
            :class:`PriorSaliency` if None: spectral saliency, and a small network that learns what to add to it.
        lowres_size: Height and width in pixels of the copy for the saliency module.
        family: How points are attracted, as in :func:`zoom_grid`.
        fwhm_cells: Width of the attraction, as in :func:`zoom_grid`.
        padding: As in :func:`zoom_grid`.
        temperature: Divides the logits. Below 1 the saliency is sharper and the zoom stronger: 0.25 is the fourth
            power of the map. The gain of other papers, which multiplies the logits, is its reciprocal.
        max_zoom: As in :func:`zoom_grid`; None for no bound. It also bounds ``source_px``, the height and width beyond
            which a larger source shows no more: two source pixels along each side of an output pixel's footprint. With a
            ``compat``, which has no bound, the default means None.
        min_zoom: As in :func:`zoom_grid`.
        marginal: As in :func:`zoom_grid`.
        bound: As in :func:`zoom_grid`.
        compat: Other values than ``"exact"`` do everything as published code does, so that a network that was trained
            with that code gets the pixels that it knows (``docs/samplers.md``). The grid, as in :func:`zoom_grid`, is
            sampled at points (``antialias=False``) in its own frame, and the saliency module gets a copy made by
            ``AdaptiveAvgPool2d``. There are no ``views``: it needs whole images.
        condition: Fields of a sample that the saliency module gets besides the image, such as ``("txt",)`` or an embedding
            ``("query.npy",)``: it is called with a keyword ``condition``, a tuple of one value for each, as a loader collates
            them (a list of strings, a tensor). So a question, for example, can decide where to look.
        antialias: As in :func:`sample`.
        mean: As in :func:`sample`. The saliency module gets values that are not normalised.
        std: As in :func:`sample`.
        dtype: As in :func:`sample`. Grid and saliency stay in float32.
        channels_last: As in :func:`sample`.

    Raises:
        TypeError: The dtype is not a floating-point type.
        ValueError: An argument is out of range.

    Example:
        >>> zoom = SaliencySampler(224)
        >>> images, grid, saliency = zoom([torch.zeros(3000, 4000, 3, dtype=torch.uint8)])
        >>> images.shape, saliency.shape
        (torch.Size([1, 3, 224, 224]), torch.Size([1, 1, 31, 31]))
    """

    family = GridSetting[Family]()
    fwhm_cells = GridSetting[float]()
    padding = GridSetting[Padding]()
    max_zoom = GridSetting[float | None]()
    min_zoom = GridSetting[float | None]()
    marginal = GridSetting[Marginal]()
    bound = GridSetting[Bound]()
    compat = GridSetting[Compat]()
    takes_deep = True

    def __init__(
        self,
        out_size: int | tuple[int, int],
        *,
        saliency: nn.Module | None = None,
        lowres_size: tuple[int, int] = (128, 128),
        family: Family = "kernel",
        fwhm_cells: float = FWHM_CELLS,
        padding: Padding = "reflect",
        temperature: float = TEMPERATURE,
        max_zoom: float | None = MAX_ZOOM,
        min_zoom: float | None = None,
        marginal: Marginal = "sum",
        bound: Bound = "blend",
        compat: Compat = "exact",
        condition: Sequence[str] = (),
        antialias: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: torch.dtype | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.out_size = height_and_width(out_size, "out_size")
        self.lowres_size = height_and_width(lowres_size, "lowres_size")
        if compat != "exact" and max_zoom == MAX_ZOOM:
            max_zoom = None
        self.grid_settings = GridSettings(
            family=family,
            fwhm_cells=fwhm_cells,
            padding=padding,
            max_zoom=max_zoom,
            min_zoom=min_zoom,
            marginal=marginal,
            bound=bound,
            compat=compat,
        )
        if antialias and compat != "exact":
            raise ValueError(
                f"antialias must be False with compat={compat!r}, got {antialias!r}: the published code reads points."
            )
        if not hasattr(temperature, "__float__") or not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature!r}.")
        self.saliency = PriorSaliency() if saliency is None else saliency
        self.temperature = float(temperature)
        self.condition = (condition,) if isinstance(condition, str) else tuple(condition)
        self.antialias = bool(antialias)
        self.form = pixel_format(mean, std, dtype, channels_last)

    @classmethod
    def from_checkpoint(
        cls, path: str | os.PathLike[str], *, saliency: nn.Module | None = None, **changes: Any
    ) -> "SaliencySampler":
        """Return the zoom that :meth:`save_checkpoint` wrote, as ``foveal train`` does; on the CPU.

        Args:
            path: The file. Nothing in it is run.
            saliency: If the network is your own, a new one, made as for training; its weights are replaced. None for
                Foveal's networks.
            **changes: Settings that replace those of the file, such as ``out_size``.

        Raises:
            ValueError: It is not such a file, from a newer version, or of another network.
        """
        checkpoint = read_checkpoint(path)
        return cls(**{**settings_of(checkpoint), **changes}, saliency=make_network(checkpoint, saliency))

    def save_checkpoint(self, path: str | os.PathLike[str] | BinaryIO | io.BytesIO) -> None:
        """Write settings and weights to one file, which :meth:`from_checkpoint` and ``foveal zoom --saliency`` take.

        A saliency network of your own, or one of Foveal's whose layers you changed, has to be given to :meth:`from_checkpoint` again. Wrappers
        around the network or a part of it (``torch.compile``, ``DistributedDataParallel``) are left out.

        Raises:
            ValueError: The weights are sharded.
        """
        torch.save(
            {
                "version": self.grid_settings.version,
                "settings": self.settings,
                **describe_network(self.saliency),
                "weights": plain_weights(self.saliency),
            },
            path,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """All arguments but the saliency network, as plain values."""
        own = {name: getattr(self, name) for name in ("out_size", "lowres_size", "temperature", "antialias")}
        if self.condition:
            own["condition"] = self.condition
        return own | self.grid_settings.to_json() | {name: getattr(self.form, name) for name in _FORM}

    @property
    def source_px(self) -> tuple[int, int] | None:
        """Height and width in pixels beyond which a larger source (or view of it) shows no more; None without ``max_zoom`` or ``antialias``."""
        return source_px_for(self.out_size, self.grid_settings.max_zoom, antialias=self.antialias)

    @property
    def takes_views(self) -> bool:
        """Whether a loader may pass ``views``."""
        return self.compat == "exact"

    @property
    def takes_lowres(self) -> bool:
        """Whether a loader may pass ``lowres``; otherwise the sampler makes the published copy itself."""
        return self.compat == "exact"

    @property
    def boxes_from(self) -> str | None:
        """The field of the samples that a loader passes as ``boxes``; None if the saliency takes none, or if they are passed by hand."""
        return SaliencyNeeds.of(self.saliency).boxes_from

    @property
    def maps_from(self) -> str | None:
        """The field of the samples that a loader passes as ``maps``; None if the saliency takes none, or if they are passed by hand."""
        return SaliencyNeeds.of(self.saliency).maps_from

    def forward(
        self,
        images: Images,
        lowres: Float[Tensor, "batch channel rows cols"] | None = None,
        views: Views | None = None,
        boxes: Sequence[Float[Tensor, "_count 4"]] | None = None,
        maps: Sequence[GivenMap] | None = None,
        *,
        condition: Sequence[Any] | None = None,
    ) -> Zoomed:
        """Zoom a batch.

        Args:
            images: (height, width, 3) uint8 or uint16 tensors of any sizes, or one (batch, channel, height, width) tensor.
            lowres: The result of ``lowres(images, self.lowres_size, views)``, if it has been computed already.
            views: (batch, 2, 3), as :func:`compose` takes them: flips, crops and rotations that are composed with the
                zoom. Beyond the image, its border is repeated. None for whole images.
            boxes: For a saliency that takes them, such as :class:`BoxSaliency`: for each image (n, 4), (x0, y0, x1, y1)
                as fractions of the source's width and height. With views, they are converted to the view.
            maps: For a
                saliency that takes them, such as :class:`MapSaliency`: for each image (rows, cols), non-negative
                cells that tile the source. With views, they are converted to the view.
            condition: Further inputs of the saliency module: one value for the whole batch for each name of the sampler's
                ``condition``.

        Returns:
            The zoomed images, NaN where the saliency network returned NaN or infinity; the grid in the frame of the sources, whatever the views; the saliency in that of the views.

        Raises:
            ValueError: Images, views, boxes or maps do not go together, or they or the logits have another shape; boxes
                or maps are given to a saliency that takes none, or none to one that does; the condition does not have one
                value for each name; or views are given with a ``compat`` that has none.
        """
        if self.compat != "exact":
            return self._forward_as_published(images, lowres, views, self._told(boxes, maps, condition))
        small = lowres_of(images, self.lowres_size, views) if lowres is None else lowres
        logits = self._logits(small, views, self._told(boxes, maps, condition))
        weights = map_of(logits, self.saliency, small.shape[0], self.temperature)
        grid = unchecked_grid(weights, self.out_size, self.grid_settings, views)
        pixels = sample_as(images, grid, self.form, antialias=self.antialias)
        return zoomed(nan_where_lost(pixels, weights), grid, weights)

    def _forward_as_published(
        self,
        images: Images,
        lowres: Float[Tensor, "batch channel rows cols"] | None,
        views: Views | None,
        told: dict[str, Any],
    ) -> Zoomed:
        if views is not None:
            raise ValueError(
                f"views must be None with compat={self.compat!r}, got {tuple(views.shape)!r}: augment the images."
            )
        check_images(images)
        small = area_lowres(images, self.lowres_size) if lowres is None else lowres
        weights = map_of(self._logits(small, None, told), self.saliency, small.shape[0], self.temperature)
        published = unchecked_grid(weights, self.out_size, self.grid_settings)
        grid = in_one_frame(published, images, self.compat)
        pixels = sample_as(images, grid, self.form, antialias=False)
        return zoomed(nan_where_lost(faded(pixels, grid, images, self.compat), weights), grid, weights)

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        plain = {name: value for name, value in self.settings.items() if name not in _FORM}
        return ", ".join([*(f"{name}={value!r}" for name, value in plain.items()), str(self.form)])

    def _told(
        self,
        boxes: Sequence[Float[Tensor, "_count 4"]] | None,
        maps: Sequence[GivenMap] | None,
        condition: Sequence[Any] | None,
    ) -> dict[str, Any]:
        """Return the further inputs of the saliency module; raise for those that it does not take."""
        needs, name = SaliencyNeeds.of(self.saliency), type(self.saliency).__name__
        if boxes is not None and not needs.takes_boxes:
            raise ValueError(
                f"boxes must be None for {name}, got {len(boxes)} – use BoxSaliency, or a module of yours with an attribute "
                "boxes_from and forward(small, boxes)."
            )
        if maps is not None and not needs.takes_maps:
            raise ValueError(
                f"maps must be None for {name}, got {len(maps)} – use MapSaliency, or a module of yours with an attribute "
                "maps_from and forward(small, *, maps)."
            )
        values = None if condition is None else tuple(condition)
        if values and not self.condition:
            raise ValueError(
                f"condition must be None for {name}, got {len(values)} – make the sampler with condition=(name, ...), "
                "for a module of yours with such keywords."
            )
        if len(values or ()) != len(self.condition):
            raise ValueError(
                f"condition must be one value for each of {self.condition!r}, got "
                f"{values if values is None else len(values)!r} – call the sampler with condition=(...)."
            )
        told = {"boxes": boxes, "maps": maps, "condition": values or None}
        return {name: value for name, value in told.items() if value is not None}

    def _logits(
        self, small: Float[Tensor, "batch channel rows cols"], views: Views | None, told: dict[str, Any]
    ) -> Float[Tensor, "batch 1 _rows _cols"]:
        named = dict(told)
        boxes = named.pop("boxes", None)
        placed = [] if boxes is None else [boxes_in_views(boxes, views, small.shape[0])]
        if "maps" in named:
            for position, each in enumerate(named["maps"]):
                check_tensor(each, f"maps[{position}]")
            there = [each.to(small.device) for each in named["maps"]]
            named["maps"] = maps_in_views(there, views, SaliencyNeeds.of(self.saliency).map_size)
        logits: Tensor = self.saliency(as_weights(small, self.saliency), *placed, **named)
        return logits
