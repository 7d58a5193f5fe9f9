"""Loaders of the small shards, and the keys that they deliver."""

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler


def loader(urls, zoom=None, batch_size=2, **options) -> ZoomLoader:
    return ZoomLoader(
        urls, zoom or UniformSampler(4), batch_size=batch_size, fields=("image", "__key__"), **options
    )


def keys(batches) -> list[str]:
    return [key for _, batch in batches for key in batch]


ALL = [f"{k:03d}" for k in range(13)]
