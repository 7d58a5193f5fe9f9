"""Joining the tensors of micro-batches to a batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch._gather import Gather
from foveal.pipeline.flow import Buffers
from foveal.sampler import SaliencySampler, UniformSampler
from tests.pipeline.making import encode, picture

FORMATS = st.sampled_from([torch.contiguous_format, torch.channels_last])
DTYPES = st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64])


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 5), FORMATS, DTYPES, st.integers(1, 6)
)
def test_it_is_what_cat_gives(counts, more, layout, dtype, width):
    """Values, dtype and, with more than one image, memory format are those of torch.cat, also for short batches."""
    gather = Gather(sum(counts) + more, Buffers(10**6))
    for _ in range(2):  # a batch, and another in what may be its memory
        parts = [torch.rand(n, 3, 5, width).to(dtype).to(memory_format=layout) for n in counts]
        for part in parts:
            gather.add(part)
        batch = gather.take()

        assert torch.equal(batch, torch.cat(parts))
        assert batch.dtype == dtype
        assert len(batch) < 2 or batch.is_contiguous(memory_format=layout)
        del batch


@pytest.mark.parametrize("shape", [(7, 9, 2), (1, 31, 31), (5, 3, 8, 8), (4,)])
def test_tensors_of_other_shapes(shape):
    """Grids, saliency, patches and tokens are joined."""
    gather, parts = Gather(5, Buffers(10**6)), [torch.rand(2, *shape), torch.rand(3, *shape)]
    for part in parts:
        gather.add(part)
    assert torch.equal(gather.take(), torch.cat(parts))


def test_without_buffers_the_graph_stays():
    """Without buffers the result carries the graph, as with torch.cat."""
    gather, weight = Gather(4, None), torch.ones(3, requires_grad=True)
    gather.add(weight[None] * 2)
    gather.add(weight[None] * 3)
    gather.take().sum().backward()
    assert weight.grad.tolist() == [5, 5, 5]


@pytest.fixture
def pictures(write_shard):
    return write_shard(
        [{"__key__": f"{k:02d}", "jpg": encode(picture(k, 40, 50)), "cls": k} for k in range(24)]
    )


def test_a_batch_is_nobody_elses(pictures):
    """A batch that is kept does not change, and its memory is reused when the batch is gone."""
    with ZoomLoader(pictures, UniformSampler(16), batch_size=4) as loader:
        kept = [images for images, _ in loader]
        copies = [images.clone() for images in kept]
        for _ in range(3):
            for images, _ in loader:
                images.fill_(9)
        assert all(map(torch.equal, kept, copies))
        del images
        held = loader._chain.batch_memory.held
        for _ in range(3):
            for images, _ in loader:
                del images
        assert loader._chain.batch_memory.held == held


def test_closing_lets_memory_go(pictures):
    """Closing frees memory that is not in use."""
    with ZoomLoader(pictures, UniformSampler(16), batch_size=4, decode="auto") as loader:
        for images, _ in loader:
            del images
        assert loader._chain.batch_memory.held > 0
    assert loader._chain.batch_memory.held == loader._chain.image_memory.held == 0


def test_closing_leaves_images_memory_to_other_loaders(pictures):
    """As when shards are zoomed one after the other: the next loader begins before the last one ends."""
    first = ZoomLoader(pictures, UniformSampler(16), batch_size=4, decode="auto")
    with ZoomLoader(pictures, UniformSampler(16), batch_size=4, decode="auto") as second:
        list(first)
        held = second._chain.image_memory.held
        assert held > 0
        first.close()
        assert second._chain.image_memory.held == held
        assert len(list(first)) == len(list(second))


def test_what_is_not_asked_for_is_not_kept(pictures):
    """Grids and saliency are not joined if no field asks for them."""
    zoom = SaliencySampler(16).requires_grad_(False)
    for fields in (("image",), ("image", "__grid__", "__saliency__")):
        with ZoomLoader(pictures, zoom, batch_size=24, fields=fields) as loader:
            batch = next(iter(loader))
            assert len(batch) == len(fields)
            held = loader._chain.batch_memory.held
            assert held == sum(4 * tensor.numel() for tensor in batch)
