"""Samples and a checkpoint for the page of foveal explore, and what a script that is copied from it delivers."""

import io
from itertools import islice

import numpy as np

from foveal.sampler import SaliencyNet, SaliencySampler
from foveal.shards import ShardWriter
from foveal.tools.explore._settings import Source
from tests.pipeline.making import encode, picture


def attention(k):
    """Return a map of ones with a bright cell, as an encoded array."""
    cells = np.ones((5, 7), np.float32)
    cells[1 + k, 2] = 20
    np.save(file := io.BytesIO(), cells)
    return file.getvalue()


def write(folder, damaged):
    """Write three pictures with boxes, if wanted a damaged fourth, and a checkpoint."""
    with ShardWriter(folder / "a.tar") as writer:
        for k in range(3 + damaged):
            image = encode(picture(k, 200 + 10 * k, 300))
            boxes = {"boxes": [[20, 30, 90 + k, 120]]}
            sample = {"__key__": f"{k}", "jpg": image if k < 3 else image[:40], "json": boxes}
            writer.write({**sample, "attention.npy": attention(k)})
    path = folder / "zoom.pt"
    SaliencySampler(
        64,
        saliency=SaliencyNet(contrast=0.5),
        temperature=0.3,
        max_zoom=3.0,
        min_zoom=0.4,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    ).save_checkpoint(path)
    return Source(
        (str(folder / "a.tar"),), boxes="json:boxes", checkpoint=path, saliency_member="attention.npy"
    )


def delivered(script, number):
    """The image of a sample that the loader of a script delivers."""
    names = {}
    exec(compile(script, "page", "exec"), names)
    with names["loader"] as loader:
        images, *_ = next(islice(loader, number, None))
        return images[0]
