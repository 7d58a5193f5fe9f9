"""Rows of a sheet, with what a zoom is told of each sample."""

import pytest
import torch
from torch import nn

from foveal.sampler import SaliencySampler
from foveal.shards import SampleError, ShardWriter
from foveal.tools.pictures.originals import open_shards
from foveal.tools.pictures.view_row import view_rows
from tests.pipeline.making import encode, picture


class Told(nn.Module):
    """Saliency that notes the condition that it is called with."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def forward(self, small, *, condition):
        self.heard += condition
        return torch.zeros(len(small), 1, 5, 5)


def write(path, members):
    with ShardWriter(path) as writer:
        for k, others in enumerate(members):
            writer.write({"__key__": f"{k}", "jpg": encode(picture(k, 40, 50)), **others})
    return open_shards([str(path)])


@pytest.mark.parametrize(("bad", "reason"), [({}, "no txt"), ({"txt": b"\xff"}, "txt")])
def test_a_sample_without_its_condition(tmp_path, bad, reason):
    """A sample that lacks what the zoom is conditioned on, or has it malformed, is bad: the next one takes its place."""
    shards, saliency = write(tmp_path / "a.tar", [bad, {"txt": "left"}]), Told()
    zoom = SaliencySampler(16, saliency=saliency, condition="txt").eval()
    rows, [error] = view_rows(shards, 1, zoom, None)

    assert [row.caption.split()[0] for row in rows] == ["1"]
    assert saliency.heard == [["left"]]
    assert isinstance(error, SampleError)
    assert error.key == "0"
    assert reason in error.reason
