"""What a list of many shards costs: opening it, one epoch's order, and the part of each rank; no image is read.

    python docs/examples/many_shards.py 100000 1000 --ranks 64

writes one shard of small samples and its index, links them under as many names as asked, and prints what each step took.
"""

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from foveal.pipeline.epoch import BatchPlan
from foveal.shards import EpochOrder, Shards, ShardWriter

BATCH = 64


def main() -> None:
    """Measure the numbers that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=int)
    parser.add_argument("samples", type=int, help="of each shard")
    parser.add_argument("--ranks", type=int, default=64)
    parser.add_argument("--batches", type=int, default=100, help="of each rank, whose samples are looked up")
    asked = parser.parse_args()
    if min(asked.shards, asked.samples, asked.ranks, asked.batches) < 1:
        parser.error("shards, samples, --ranks and --batches must be at least 1")
    asked_of_all = BATCH * asked.ranks * asked.batches
    if asked.shards * asked.samples < asked_of_all:
        parser.error(
            f"shards must hold at least {asked_of_all:,} samples, {asked.batches} batches of {BATCH} for each of {asked.ranks} "
            f"ranks, got {asked.shards * asked.samples:,} – ask for more, or for fewer --batches"
        )
    with tempfile.TemporaryDirectory() as folder:
        link_shards(Path(folder), asked.shards, asked.samples)
        measure(Path(folder), asked.shards, asked.ranks, asked.batches)


def link_shards(folder: Path, count: int, samples: int) -> None:
    """Write a shard and its index, and link them under many names."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "JPEG")
    with ShardWriter(folder / "one.tar") as writer:
        for key in range(samples):
            writer.write({"__key__": f"{key:06d}", "jpg": picture.getvalue(), "cls": key % 10})
    for number in range(count):
        for kind in ("tar", "idx"):
            (folder / f"train-{number:06d}.{kind}").symlink_to(folder / f"one.{kind}")


def measure(folder: Path, count: int, ranks: int, batches: int) -> None:
    """Open the shards, lay out an epoch, look up the first batches of every rank, and check them."""
    with step(f"opening {count:,} shards"):
        shards = Shards(str(folder / f"train-{{000000..{count - 1:06d}}}.tar"))
    with step(f"the order of {len(shards):,} samples"):
        order = EpochOrder(shards.counts, shuffle=True, seed=0, epoch=0)
    plans = [BatchPlan(len(order), BATCH, rank=rank, world_size=ranks) for rank in range(ranks)]
    with step(f"the first {batches} batches of {BATCH} on each of {ranks} ranks"):
        taken = np.array(
            [[order[place] for batch in range(batches) for place in plan[batch]] for plan in plans]
        )
    if len(np.unique(taken)) != taken.size:
        raise RuntimeError("ranks share samples")
    ends = np.cumsum(shards.counts)
    touched = [len(np.unique(np.searchsorted(ends, part, side="right"))) for part in taken]
    print(
        f"each rank took {taken.shape[1]:,} samples out of {min(touched)} to {max(touched)} shards; no two took the same sample"
    )
    print(f"{len(list(Path('/proc/self/fd').iterdir()))} open files")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the processor time that a step takes, and the memory that it adds to the most used so far."""
    start, before = time.process_time(), _peak_mb()
    yield
    print(f"{name}: {time.process_time() - start:.2f} s of one processor, {_peak_mb() - before:.0f} MB")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
