"""The zoom for loaders that exist already: a ``collate_fn``."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate, get_worker_info

from foveal._outside import outside
from foveal.pipeline._given_images import as_pixels
from foveal.pipeline._given_maps import GivenMaps
from foveal.pipeline._given_samples import entries_of
from foveal.pipeline.copies import Copies
from foveal.pipeline.decoding import (
    Bands,
    Color,
    DecodeMode,
    EncodedImage,
    PixelRule,
    Window,
    as_decode_mode,
    by_libjpeg,
)
from foveal.pipeline.epoch import check_saliency, micro_batch_size
from foveal.pipeline.fields import IMAGE, alternatives, labels_in_frame, map_guide_of
from foveal.pipeline.flow import home_of
from foveal.sampler import Zoomed, ZoomNeeds

_CPU = torch.device("cpu")


class ZoomCollate:
    """Joins samples to a batch whose images are zoomed: a ``collate_fn`` for torch's DataLoader and ``wds.WebLoader``.

    A sample is a tuple (or list), or a dict, as webdataset's are; the batch is a tuple or a dict of the same entries. A
    sample of :class:`foveal.shards.Shards` is the dict of its members, parsed as :class:`ZoomLoader` parses them, with
    ``"__key__"`` and ``"__url__"``: so ``DataLoader(Shards(...), sampler=...)`` takes samples in any order. The
    image becomes the zoom's (batch, 3, height, width); everything else is joined as torch's ``default_collate`` does,
    and stays a list where that cannot be (tensors of different shapes, ``None``, objects).

    An image is a tensor or array, (height, width, 3), (3, height, width) (if it could be either, the former) or (height,
    width), a PIL image, or a whole encoded file, which is decoded as in :class:`ZoomLoader`. A file, the
    PIL image that was opened from it, and an array of its samples give the same pixels: the full range of an integer type
    as in a file, floating point in [0, 1], or the ``window``. Files and PIL images are turned upright by the EXIF
    orientation
    that they have. Images are zoomed on the device of the zoom's parameters, by default the CPU.

    It works in this process and in workers, forked or spawned. With gradients enabled and a zoom that has parameters
    that require them, the batch carries the graph, which cannot leave a worker: train with ``num_workers=0`` or with
    :class:`ZoomLoader`. Workers hold copies of the zoom from the time when they were started.

    A zoom that needs maps, such as one with ``MapSaliency("attention.npy")``, gets these entries of the samples, which
    must be dicts: arrays (rows, cols), tensors, lists of rows, or members as in a shard. The batch has them, too. A zoom
    with a ``condition`` gets the entries of these names as they are in the batch.

    Args:
        zoom: A sampler, such as :class:`foveal.sampler.SaliencySampler`.
        image: The entry that is the image. By default the first of a tuple; in a dict ``"image"``, or else the first of
            ``"jpg"``, ``"jpeg"``, ``"png"``, ``"webp"`` that the batch's first sample has.
        with_grid: Whether the batch shall also have ``"__grid__"`` (batch, height, width, 2), and ``"__size__"``
            (batch, 2), height and width of the originals, int64. ``warp_boxes``, ``warp_points`` and ``warp_masks`` need
            them. In a tuple they come last.
        decode: Which decoder to use for encoded files, as :class:`ZoomLoader` takes it.
        window: As :class:`ZoomLoader` takes it; for an array, the values that become black and white.
        bands: As :class:`ZoomLoader` takes it.
        color: As :class:`ZoomLoader` takes it.

    Raises:
        TypeError: The zoom is not a module; or in a batch, samples or images are of another kind, or need a window
            (signed integers, floating point outside [0, 1]) and there is none.
        ValueError: The zoom needs boxes. Or in a batch: an image cannot be decoded or has another shape, a map is
            invalid, samples do not have the same entries, a member of
            a shard does not hold what its name says, or the zoom needs gradients in a worker. Each message names the
            position in the batch.

    Warns:
        UserWarning: Once, without ``with_grid``: samples have boxes, points or masks (by name, by type, as torchvision's
            ``tv_tensors``, or by having the image's shape), which are passed on as they are.

    Example:
        >>> zoom = SaliencySampler(224).requires_grad_(False)
        >>> loader = DataLoader(dataset, batch_size=64, num_workers=4, collate_fn=ZoomCollate(zoom))
        >>> for images, labels in loader:  # (64, 3, 224, 224) float32 in [0, 1], (64,) int64
    """

    def __init__(
        self,
        zoom: nn.Module,
        *,
        image: int | str | None = None,
        with_grid: bool = False,
        decode: DecodeMode = "auto",
        window: Window | None = None,
        bands: Bands | None = None,
        color: Color | None = None,
    ) -> None:
        self._needs = ZoomNeeds.of(zoom)
        _check_served(self._needs)
        self._map_guide = map_guide_of(self._needs)
        self.zoom = zoom
        self.image = image
        self.with_grid = with_grid
        self.decode: DecodeMode = as_decode_mode(decode)
        self._rule = PixelRule(window, bands, color)
        self._started_with_gradients = True
        self._has_warned = False

    def __getstate__(self) -> dict[str, Any]:
        """Also pickle whether gradients are enabled: a spawned worker begins with gradients enabled, whatever its parent does."""
        return {**vars(self), "_started_with_gradients": torch.is_grad_enabled()}

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Join the samples of a batch."""
        entries = entries_of(samples)
        image = self._image_of(entries[0])
        self._warn_of_labels(entries[0], image)
        maps = None if self._map_guide is None else GivenMaps(entries, self._map_guide)
        zoomed, sizes = self._zoom([entry[image] for entry in entries], entries, maps)
        batch = {
            name: zoomed.images if name == image else join_labels([entry[name] for entry in entries])
            for name in entries[0]
        }
        if self.with_grid:
            batch["__grid__"] = zoomed.grid
            batch["__size__"] = torch.tensor(sizes, dtype=torch.int64, device=zoomed.grid.device)
        return tuple(batch.values()) if isinstance(samples[0], tuple | list) else batch

    def _warn_of_labels(self, entry: Mapping[Any, Any], image: Any) -> None:
        """Warn once that boxes, points and masks are not warped, unless the batch has what is needed to warp them."""
        left = [] if self.with_grid or self._has_warned else labels_in_frame(entry, image)
        if left:
            self._has_warned = True
            warnings.warn(
                f"{', '.join(left)} {'stay' if len(left) > 1 else 'stays'} in the frame of the original images, which is not "
                "that of the zoomed ones – ask for with_grid=True and call warp_boxes, warp_points or warp_masks, or use "
                "ZoomLoader with Boxes, Points or Mask",
                UserWarning,
                stacklevel=outside(),
            )

    def _image_of(self, entry: Mapping[Any, Any]) -> Any:
        names: tuple[Any, ...] = (self.image,)
        if self.image is None:
            names = (0, "image", *alternatives(IMAGE))
        for name in names:
            if name in entry:
                return name
        raise ValueError(f"image must be an entry of the samples, got {self.image!r} for {list(entry)!r}.")

    def _zoom(
        self,
        images: Sequence[Any],
        entries: Sequence[Mapping[Any, Any]],
        maps: Callable[[int, Sequence[tuple[int, int]]], list[Tensor]] | None,
    ) -> tuple[Zoomed, list[tuple[int, int]]]:
        """Zoom a few images at a time, as the loader does: decoded images are freed before others are decoded."""
        in_worker = get_worker_info() is not None
        if in_worker:
            self._refuse_to_train()
        device = home_of(self.zoom) or _CPU
        size = micro_batch_size(self.zoom, len(images), device)
        plan_decoding = by_libjpeg(self.decode, device, self.zoom)
        parts: list[Zoomed] = []
        sizes: list[tuple[int, int]] = []
        with torch.no_grad() if in_worker else nullcontext():
            for first in range(0, len(images), size):
                pixels, encoded = as_pixels(
                    images[first : first + size],
                    first=first,
                    device=device,
                    num_threads=1 if in_worker else None,
                    plan_decoding=plan_decoding,
                    rule=self._rule,
                )
                sizes += [_original_size(*pair) for pair in zip(encoded, pixels, strict=True)]
                copies = Copies(
                    encoded, pixels, takes_views=self._needs.takes_views, takes_deep=self._needs.takes_deep
                )
                told = None if maps is None else maps(first, sizes[first:])
                small = copies.look(self._needs.lowres_size)
                beside = self._condition(entries[first : first + size], first, device)
                parts.append(copies.zoom(self.zoom, small, maps=told, condition=beside))
                check_saliency(parts[-1], self.zoom, [f"samples[{first + k}]" for k in range(len(encoded))])
        return Zoomed(*(torch.cat(tensors) for tensors in zip(*parts, strict=True))), sizes

    def _condition(
        self, entries: Sequence[Mapping[Any, Any]], first: int, device: torch.device
    ) -> tuple[Any, ...] | None:
        """Return the entries that the zoom gets besides the images, each as in the batch."""
        if not self._needs.condition:
            return None
        values = []
        for name in self._needs.condition:
            for k, entry in enumerate(entries):
                if name not in entry:
                    raise ValueError(
                        f"samples[{first + k}] must have the entry {name!r} that the zoom asks for, got {list(entry)!r} – give "
                        "each sample as a dict with its condition."
                    )
            joined = join_labels([entry[name] for entry in entries])
            values.append(joined.to(device) if isinstance(joined, Tensor) else joined)
        return tuple(values)

    def _refuse_to_train(self) -> None:
        needing = sum(parameter.requires_grad for parameter in self.zoom.parameters())
        if needing and torch.is_grad_enabled() and self._started_with_gradients:
            raise ValueError(
                f"zoom must not need gradients in a worker, got {needing} parameters that do: the graph cannot leave "
                "the process – call zoom.requires_grad_(False), iterate under torch.no_grad(), or use num_workers=0 "
                "or ZoomLoader to train it."
            )


def _original_size(encoded: EncodedImage | None, pixels: Tensor) -> tuple[int, int]:
    return (pixels.shape[0], pixels.shape[1]) if encoded is None else encoded.original_size(pixels)


def _check_served(needs: ZoomNeeds) -> None:
    """Raise if a zoom needs something that only a loader reads from a sample.

    Raises:
        ValueError: It needs boxes.
    """
    if needs.boxes_from is not None:
        raise ValueError(
            f"zoom must look at images alone, got a {needs.name} that asks for boxes from {needs.boxes_from!r}, which a "
            "collate_fn does not read – use ZoomLoader."
        )


def join_labels(values: list[Any]) -> Any:
    """Join one entry of a batch as torch does, dicts by their entries; what torch cannot join stays a list."""
    if isinstance(values[0], Mapping):
        alike = _have_same_keys(values)
        return {k: join_labels([value[k] for value in values]) for k in values[0]} if alike else values
    if not _have_alike_dicts(values):
        return values
    try:
        return default_collate(values)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return values  # types, shapes, memory or numbers that torch does not join


def _have_alike_dicts(values: Sequence[Any]) -> bool:
    """Return whether dicts at the same place, in lists of one length, have the same keys: torch takes those of the first for all."""
    if any(isinstance(value, Mapping) for value in values):
        return _have_same_keys(values) and all(
            _have_alike_dicts([value[k] for value in values]) for k in values[0]
        )
    if all(isinstance(value, list | tuple) for value in values) and len(set(map(len, values))) == 1:
        return all(map(_have_alike_dicts, zip(*values, strict=True)))
    return True


def _have_same_keys(values: Sequence[Any]) -> bool:
    return all(isinstance(value, Mapping) and value.keys() == values[0].keys() for value in values)
