"""A few images out of many, or the same few again and again, so that a benchmark is neither long nor short."""

from collections.abc import Sequence
from pathlib import Path

from foveal.shards import Shards, ShardWriter, write_index
from foveal.tools.pictures.originals import encoded_image, spread_evenly


def deal_samples(shards: Shards, folder: Path, images: int, *, parts: int = 1) -> list[str]:
    """Write so many images, in turn into so many shards, with indexes beside them and nothing but images inside.

    Of more images those that lie evenly over all shards are taken, fewer are repeated. Keys are numbers: image k is
    ``f"{k:06d}"``, in shard ``k % parts``, so that readers that share shards have as much to do.

    Args:
        shards: Where images come from.
        folder: Where shards go.
        images: How many images to write.
        parts: How many shards to write.

    Returns:
        The paths of the tars.
    """
    return deal_files(pick_files(shards, images), folder, images, parts=parts)


def pick_files(shards: Shards, images: int) -> list[bytes]:
    """Return so many image files, or all if there are fewer, that lie evenly over all shards."""
    return [encoded_image(shards[pick]) for pick in spread_evenly(images, len(shards))]


def deal_files(files: Sequence[bytes], folder: Path, images: int, *, parts: int = 1) -> list[str]:
    """Write so many images as :func:`deal_samples` does: these files, and again the first ones."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"part-{number:03d}.tar" for number in range(min(parts, images))]
    for number, path in enumerate(paths):
        with ShardWriter(path) as writer:
            for k in range(number, images, len(paths)):
                writer.write({"__key__": f"{k:06d}", "jpg": files[k % len(files)]})
        write_index(path)
    return [str(path) for path in paths]
