"""Chooses some of many images, or repeats a few, so that a benchmark has as many images as it needs."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from foveal.shards import SampleError, Shards, ShardWriter, write_index
from foveal.tools.bench._readable import readable
from foveal.tools.pictures.originals import encoded_image, spread_evenly


def deal_samples(shards: Shards, folder: Path, images: int, *, console: Console, parts: int = 1) -> list[str]:
    """Write a number of images to a number of shards in turn. The shards hold only images, and have an index beside them.

    If there are more images, they are chosen evenly over all shards; if there are fewer, they are repeated. Keys are
    numbers: image k is ``f"{k:06d}"`` in shard ``k % parts``, so that readers with one shard each have the same amount of
    work. Bad images are left out.

    Args:
        shards: Where images come from.
        folder: Where shards go.
        images: How many images to write.
        console: Where to say how many are left out.
        parts: How many shards to write.

    Returns:
        The paths of the tars.

    Raises:
        ValueError: None of the images can be decoded.
    """
    return deal_files(good_files(shards, images, console), folder, images, parts=parts)


def good_files(shards: Shards, images: int, console: Console) -> list[bytes]:
    """Return a number of image files that can be decoded, chosen as :func:`pick_files` does, and print how many others there are.

    Raises:
        ValueError: None can be decoded.
    """
    picks = readable(shards, spread_evenly(images, len(shards)), console)
    return [encoded_image(shards[pick]) for pick in picks]


def pick_files(shards: Shards, images: int) -> list[bytes]:
    """Return a number of image files, chosen evenly over all shards; all of them if there are fewer.

    A sample without an image has an empty file, which no loader can read.
    """
    return [_file(shards, pick) for pick in spread_evenly(images, len(shards))]


def _file(shards: Shards, pick: int) -> bytes:
    try:
        return encoded_image(shards[pick])
    except SampleError:
        return b""


def deal_files(files: Sequence[bytes], folder: Path, images: int, *, parts: int = 1) -> list[str]:
    """Write a number of images as :func:`deal_samples` does: these files, repeated from the first if there are too few."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number:03d}.tar" for number in range(min(parts, images))]
    for number, path in enumerate(paths):
        with ShardWriter(path) as writer:
            for k in range(number, images, len(paths)):
                writer.write({"__key__": f"{k:06d}", "jpg": files[k % len(files)]})
        write_index(path)
    return [str(path) for path in paths]
