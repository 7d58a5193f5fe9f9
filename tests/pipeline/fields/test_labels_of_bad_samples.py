"""Labels of batches of which samples are bad, dropped or missing."""

import numpy as np
import pytest
import torch

from foveal.pipeline import ZoomLoader
from foveal.sampler import (
    SaliencySampler,
    UniformSampler,
    warp_points,
)
from foveal.shards import ShardWarning
from tests.checks import check_close
from tests.pipeline.fields.labelled import FIELDS, labelled
from tests.pipeline.making import encode

MISFIT = {"mask.png": encode(np.zeros((30, 21), dtype=np.uint8), "PNG")}
BAD = {
    "wrong mask": (
        MISFIT,
        "mask.png has another shape than the image: 30 × 21 on 100 × 120 pixels (height × width)",
    ),
    "no mask": ({"mask.png": b""}, "mask.png is empty: 0 bytes"),
    "no boxes": (
        {"json": {"boxes": "none", "face": {"points": []}}},
        "json boxes is not (n, 4) numbers: 'none'",
    ),
    "exchanged": (
        {"json": {"boxes": [[9, 9, 1, 1]], "face": {"points": []}}},
        "json boxes has exchanged corners, and may need format='xywh': row 0 is [9.0, 9.0, 1.0, 1.0]",
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("on_bad", ["substitute", "drop"])
def test_labels_that_do_not_fit_make_a_bad_sample(write_shard, kind, on_bad):
    """The sample is reported with the reason and replaced or dropped; a substitute has its own labels."""
    content, reason = BAD[kind]
    url = write_shard([labelled(k, **(content if k == 5 else {})) for k in range(13)])
    with (
        ZoomLoader(url, UniformSampler(16), batch_size=4, fields=FIELDS, on_bad=on_bad) as loader,
        pytest.warns(ShardWarning, match="1 bad sample"),
    ):
        batches = list(loader)

    assert [(bad.key, bad.reason) for bad in loader.bad_samples] == [("005", reason)]
    assert sum(len(batch[0]) for batch in batches) == (13 if on_bad == "substitute" else 12)
    for images, (boxes, _), points, masks, grid, size, keys, valid in batches:
        assert "005" not in keys
        assert len(images) == len(boxes) == len(points) == len(masks) == len(valid)
        for place, key in enumerate(keys):
            own = torch.tensor(labelled(int(key))["json"]["face"]["points"]).reshape(-1, 2)
            (expected,) = warp_points([own], grid[place : place + 1], size[place : place + 1])
            check_close(points[place], expected, 1e-4)


@pytest.mark.parametrize("last_batch", ["partial", "pad"])
def test_empty_batches_and_padding(write_shard, last_batch):
    """A rank without samples gets empty lists and tensors; padding has labels, too."""
    url = write_shard([labelled(3)])
    options = {"batch_size": 2, "last_batch": last_batch, "rank": 1, "world_size": 2, "fields": FIELDS}
    with ZoomLoader(url, SaliencySampler(16), **options) as loader:
        ((images, (boxes, kept), points, masks, *_, valid),) = list(loader)

    count = 2 if last_batch == "pad" else 0
    assert len(images) == len(boxes) == len(kept) == len(points) == len(valid) == count
    assert masks.shape == (count, 16, 16)
    assert masks.dtype == torch.int64
    assert [len(p) for p in points] == [4] * count


def test_a_batch_of_which_all_is_dropped(write_shard):
    """If all samples of a batch are dropped, every field is empty."""
    url = write_shard([labelled(k, **(MISFIT if k < 2 else {})) for k in range(4)])
    options = {"batch_size": 2, "on_bad": "drop", "max_bad_fraction": 1.0, "fields": FIELDS}
    with (
        ZoomLoader(url, UniformSampler(16), **options) as loader,
        pytest.warns(ShardWarning, match="2 bad"),
    ):
        first, second = list(loader)

    assert (len(first[0]), first[1], first[2], first[3].shape) == (0, ([], []), [], (0, 16, 16))
    assert [len(points) for points in second[2]] == [3, 4]


def test_a_label_that_is_too_large(write_shard):
    """The warning does not send to foveal verify for what is wrong with a label, of whatever kind."""
    large = {"mask.png": encode(np.zeros((200, 240), dtype=np.uint8), "PNG")}
    url = write_shard([labelled(k, **(large if k == 5 else {})) for k in range(13)])
    with (
        ZoomLoader(url, UniformSampler(16), batch_size=13, fields=FIELDS, max_pixels=30_000) as loader,
        pytest.warns(ShardWarning, match="the loader's bad_samples has all$"),
    ):
        list(loader)

    assert [(bad.key, bad.kind) for bad in loader.bad_samples] == [("005", "too_large")]
