"""Two small shards that many tests read."""

import functools
from pathlib import Path
from typing import Any

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture


@functools.cache
def small_samples() -> tuple[dict[str, Any], ...]:
    """Return 13 samples with pictures of different sizes, labelled 0 to 12."""
    return tuple(
        {"__key__": f"{k:03d}", "jpg": encode(picture(k, 60 + 7 * k, 90 + 5 * k)), "cls": k, "json": {"k": k}}
        for k in range(13)
    )


def write_small_shards(folder: Path) -> list[str]:
    """Write a shard of the first 7 of them and one of the other 6, and return their paths."""
    samples = small_samples()
    for name, part in (("a.tar", samples[:7]), ("b.tar", samples[7:])):
        with ShardWriter(folder / name) as writer:
            for sample in part:
                writer.write(dict(sample))
    return [str(folder / "a.tar"), str(folder / "b.tar")]
