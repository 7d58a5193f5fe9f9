"""Small shards to zoom, and comparisons of zoomed shards."""

import io
import json

import numpy as np
from PIL import Image

from foveal.sampler import SaliencySampler, SpectralSaliency
from foveal.shards import Shards, ShardWriter
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.zoom import RunOptions, zoom_shards
from tests.pipeline.making import encode, picture

CUT = encode(picture(0, 400, 600), quality=95)[:9000]
RECIPE = Recipe(out_size=24, format="png")
# Of a shard's files those that equal runs have alike; an index says when its tar was written.
SAME = ("*.tar", "*_samples.jsonl", "*_stats.json", "manifest.json", "sizes.json")


def write_originals(folder, shards=3, samples=5, bad=()):
    """Write shards of small labelled pictures; those numbered in ``bad`` are truncated."""
    folder.mkdir(exist_ok=True)
    for shard in range(shards):
        with ShardWriter(folder / f"s-{shard}.tar") as writer:
            for k in range(shard * samples, (shard + 1) * samples):
                writer.write(labelled(k, **({"jpg": CUT} if k in bad else {})))
    return str(folder / "s-*.tar")


def labelled(k, **other):
    height, width = 60 + 3 * k, 90 + 2 * k
    boxes = [[5, 5, 40, 30], [width + 5, 5, width + 9, 9], [10, 20, width - 1, height - 2]]
    ids = np.random.default_rng(k).integers(0, 5, (height, width), dtype=np.uint8)
    return {
        "__key__": f"dir/{k:03d}",
        "jpg": encode(picture(k, height, width)),
        "cls": k,
        "json": {"boxes": boxes, "names": ["a", "gone", "c"], "face": {"points": [[3, 4], [20, 30]]}},
        "mask.png": encode(ids, "PNG"),
        "bin": bytes([k % 256, 255]),
        **other,
    }


def spectral(size=24):
    """Return the zoom of RECIPE, at this output size."""
    return SaliencySampler(size, saliency=SpectralSaliency(), temperature=0.5).requires_grad_(False)


def zoom(urls, out, recipe=RECIPE, **options):
    zoom_shards([urls], recipe, out=str(out), options=RunOptions(**{"device": "cpu", **options}))


def content(folder):
    """Return the content that equal runs share, by name."""
    return {path.name: path.read_bytes() for pattern in SAME for path in sorted(folder.glob(pattern))}


def samples_of(folder):
    """Return all samples, read back: key, and members by name."""
    with Shards(str(folder / "*.tar")) as shards:
        return [(sample.key, sample.members) for sample in shards]


def rows_of(folder):
    """Return all rows of the tables."""
    return [
        json.loads(line)
        for path in sorted(folder.glob("*_samples.jsonl"))
        for line in path.read_text().splitlines()
    ]


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)))
