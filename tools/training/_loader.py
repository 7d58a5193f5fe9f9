"""The loader of a training, as its options describe it."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from foveal.pipeline import ZoomLoader
from foveal.tools.training._ranks import Ranks
from foveal.tools.training.options import TrainOptions


def open_loader(
    urls: str | Sequence[str],
    zoom: nn.Module,
    options: TrainOptions,
    ranks: Ranks,
    *,
    fields: Sequence[Any],
    **how: Any,
) -> ZoomLoader:
    """Return a loader for one rank.

    Args:
        urls: Shards.
        zoom: The sampler.
        options: The options of the training.
        ranks: This process among the training processes.
        fields: The fields of a batch after the images, which come first.
        **how: Other arguments of :class:`foveal.pipeline.ZoomLoader`.
    """
    return ZoomLoader(
        urls,
        zoom,
        batch_size=options.batch_size,
        fields=(options.image, *fields),
        seed=options.seed,
        device=ranks.device,
        num_threads=options.num_threads,
        window=options.window,
        bands=options.bands,
        color=options.color,
        max_pixels=options.max_pixels,
        quarantine=options.quarantine,
        storage_options=options.storage_options,
        cache_size=options.cache_size,
        **how,
    )


def while_learning(options: TrainOptions) -> dict[str, Any]:
    """Return how a loader goes through the images that something learns from, for :func:`open_loader`."""
    return {"shuffle": True, "last_batch": "drop", "augment": options.augment}
