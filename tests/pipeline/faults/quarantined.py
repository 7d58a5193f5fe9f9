"""An epoch with a quarantine file, and shards of which some samples are bad."""

import numpy as np

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture

CUT = encode(picture(0, 400, 600), quality=95)[:9000]


def epoch(url, file, *fields, allowed=1.0, **options) -> list[str]:
    """Return the keys of an epoch's valid samples, after a check that nothing was reported."""
    names = ("__key__", "__valid__", "image", *fields)
    options = {"batch_size": 5, "quarantine": file, "max_bad_fraction": allowed, **options}
    with ZoomLoader(url, UniformSampler(8), fields=names, **options) as loader:
        batches = list(loader)
    return [key for keys, valid, *_ in batches for key, is_valid in zip(keys, valid, strict=True) if is_valid]


ALL = [f"{k:02d}" for k in range(20)]


def shard(path, bad) -> str:
    """Write ten samples, of which these are cut off, lack their label, or have a mask of another size."""
    path.parent.mkdir(exist_ok=True)
    with ShardWriter(path) as writer:
        for k in range(10):
            what = bad.get(k)
            mask = encode(np.zeros((9, 9) if what == "mask" else (20, 30), np.uint8), "PNG")
            members = {"jpg": encode(picture(k, 20, 30)), "cls": k, "mask.png": mask}
            if what == "image":
                members["jpg"] = CUT
            if what == "label":
                del members["cls"]
            writer.write({"__key__": f"{k:02d}", **members})
    return str(path)
