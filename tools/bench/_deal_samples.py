"""A few images out of many, or the same few again and again, so that a benchmark is neither long nor short."""

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
    folder.mkdir(parents=True, exist_ok=True)
    picks = spread_evenly(images, len(shards))
    files = [encoded_image(shards[pick]) for pick in picks]
    paths = [folder / f"part-{number:03d}.tar" for number in range(min(parts, images))]
    for number, path in enumerate(paths):
        with ShardWriter(path) as writer:
            for k in range(number, images, len(paths)):
                writer.write({"__key__": f"{k:06d}", "jpg": files[k % len(files)]})
        write_index(path)
    return [str(path) for path in paths]
