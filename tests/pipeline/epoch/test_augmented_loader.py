"""Random views of images, drawn by the loader."""

import io
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveal.pipeline import Augment, Boxes, Mask, Points, ZoomLoader
from foveal.sampler import (
    BoxSaliency,
    SaliencyNet,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    lowres,
    unwarp_points,
    warp_boxes,
    warp_masks,
)
from foveal.shards import Shards
from tests.checks import check_close
from tests.pipeline.making import encode, picture

ALL = Augment(hflip=0.5, vflip=0.3, crop_scale=(0.2, 0.9), rotate_deg=20)
FIELDS = ("image", "__key__", "__view__", "__grid__")


def load(urls, augment=ALL, zoom=None, **options):
    return ZoomLoader(urls, zoom or UniformSampler(8), fields=FIELDS, augment=augment, **options)


def by_key(batches):
    """Return what was delivered for each sample, by its key."""
    return {
        key: (image, view, grid)
        for images, keys, views, grids in batches
        for image, key, view, grid in zip(images, keys, views, grids, strict=True)
    }


def check_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, values in ours.items():
        assert all(torch.equal(a, b) for a, b in zip(values, theirs[key], strict=True)), key


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 10**9)),
)
def test_a_view_is_a_pure_function_of_its_key(size, key):
    """The view depends on sample, epoch and seed only, and has some area at any image size."""
    view = ALL.view(size, key)

    assert torch.equal(view, ALL.view(size, key))
    assert view.dtype == torch.float32
    assert view[:, :2].det().abs() > 0
    for k in range(3):
        other = tuple(part + (n == k) for n, part in enumerate(key))
        assert not torch.equal(view, ALL.view(size, other))


def test_views_follow_the_sample(small_shards):
    """A sample has the same view and pixels in any batch, on any rank and with any number of threads, and others in the next epoch."""
    with load(small_shards, batch_size=13) as plain:
        whole, second = by_key(plain), by_key(plain)
    with load(small_shards, batch_size=3, shuffle=True, num_threads=1) as shuffled:
        check_same(by_key(shuffled), whole)
    ranks = [load(small_shards, batch_size=2, shuffle=True, rank=r, world_size=3) for r in range(3)]
    check_same(by_key(batch for rank in ranks for batch in rank), whole)
    for rank in ranks:
        rank.close()
    with load(small_shards, batch_size=13, seed=1) as other:
        seeded = by_key(other)

    assert len({tuple(view.flatten().tolist()) for _, view, _ in whole.values()}) == 13
    for different in (second, seeded):
        assert not any(torch.equal(different[key][1], whole[key][1]) for key in whole)
    with pytest.raises(AssertionError):
        check_same(second, whole)


def test_views_after_going_on(small_shards):
    """A resumed epoch has the same views as an uninterrupted one, also with another batch size."""
    with (
        load(small_shards, batch_size=4, shuffle=True) as first,
        load(small_shards, batch_size=3, shuffle=True) as second,
    ):
        list(first)
        running = iter(first)
        before = by_key([next(running)])
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        rest = by_key(second)
        first.set_epoch(0)
        first.set_epoch(1)
        check_same({**before, **rest}, by_key(first))


def test_what_is_delivered_belongs_together(small_shards):
    """The grid is that of the view, the zoom saw the view, and labels and order are as without augmentation."""
    zoom = SaliencySampler((12, 10), lowres_size=(24, 24), saliency=SpectralSaliency())
    fields = ("image", "cls", "__view__", "__grid__", "__saliency__", "__size__")
    with ZoomLoader(small_shards, zoom, batch_size=13, fields=fields, augment=ALL) as loader:
        ((images, cls, views, grids, saliency, sizes),) = list(loader)
    with Shards(small_shards) as shards:
        files = [shards[k].members["jpg"] for k in range(13)]
    from foveal.pipeline import decode

    decoded = decode(files)
    expected = zoom(decoded, views=views)

    assert cls.tolist() == list(range(13))
    assert torch.equal(
        views, torch.stack([ALL.view(tuple(s.tolist()), (0, 0, k)) for k, s in enumerate(sizes)])
    )
    check_close(saliency, expected.saliency, 1e-6)
    check_close(grids, expected.grid, 1e-6)
    check_close(images, expected.images, 1e-4)
    assert not torch.allclose(saliency, zoom(decoded, lowres(decoded, (24, 24))).saliency, atol=1e-4)


def test_the_field_without_augmentation(small_shards):
    """Without augmentation, the field holds the view of the whole image."""
    with load(small_shards, augment=None, batch_size=5) as loader:
        for images, _, views, _ in loader:
            assert torch.equal(views, torch.eye(2, 3).repeat(len(images), 1, 1))


def test_empty_batches(small_shards):
    """A rank without samples delivers an empty tensor of views of the right shape."""
    with (
        load(small_shards, batch_size=5, rank=2, world_size=3) as loader,
        load(small_shards[:1], batch_size=1, rank=7, world_size=8) as nothing,
    ):
        assert [len(views) for _, _, views, _ in loader] == [4]
        assert [views.shape for _, _, views, _ in nothing] == [(0, 2, 3)]


def test_training_through_views(small_shards):
    """With views, gradients reach every weight."""
    zoom = SaliencySampler(8, saliency=SaliencyNet(), lowres_size=(32, 32))
    with load(small_shards, zoom=zoom, batch_size=4) as loader:
        images, *_ = next(iter(loader))
    images.square().sum().backward()

    assert all(p.grad.abs().sum() > 0 for p in zoom.parameters())


class Blind(UniformSampler):
    def forward(self, images, lowres=None):
        return super().forward(images, lowres)


class Greedy(UniformSampler):
    def forward(self, *args, **options):
        return super().forward(*args, **options)


def test_a_zoom_that_knows_no_views(small_shards):
    """A zoom that takes no views is refused if there is augmentation, and accepted otherwise."""
    message = (
        "zoom must take views where augment is given, got {} – samplers of patches, and a SaliencySampler with a compat "
        "other than 'exact', take none; give the forward of a module of your own a parameter views=None, (batch, 2, 3), and "
        "compose its grid with them (foveal.sampler.compose)."
    )
    published = SaliencySampler(8, compat="torch13plus", antialias=False)
    with pytest.raises(TypeError, match=re.escape(message.format("SaliencySampler"))):
        load(small_shards, zoom=published, batch_size=4)
    with pytest.raises(TypeError, match=re.escape(message.format("Blind"))):
        load(small_shards, zoom=Blind(8), batch_size=4)
    with load(small_shards, zoom=Blind(8), batch_size=4, augment=None) as loader:
        assert len(list(loader)) == 4
    with load(small_shards, zoom=Greedy(8), batch_size=4) as loader:
        assert len(list(loader)) == 4
    with pytest.raises(
        TypeError, match=re.escape("augment must be an Augment or None, got 'flip' – for example")
    ):
        load(small_shards, augment="flip", batch_size=4)


@pytest.fixture
def labelled(write_shard):
    """Return three pictures with boxes, points and a mask; the last has no boxes, and one box is invalid."""
    samples = []
    for k in range(3):
        boxes = [[10, 12, 30, 40], [-900, 5, 70, 9000]][: 2 - k]
        ids = (picture(k + 9, 80, 120)[..., 0] > 128).astype(np.uint8)
        samples.append(
            {
                "__key__": f"{k}",
                "jpg": encode(picture(k, 80, 120)),
                "json": {"boxes": boxes, "points": [[20.0, 26.0], [60.0, 50.0]]},
                "mask.png": encode(ids, "PNG"),
            }
        )
    return write_shard(samples, "labelled.tar")


def test_label_fields_follow_the_views(labelled):
    """Boxes, points and masks lie where the augmented zoom shows them."""
    fields = (
        "image",
        Boxes("json:boxes"),
        Points("json:points"),
        Mask("mask.png"),
        "__grid__",
        "__view__",
        "__size__",
    )
    zoom = SaliencySampler(16, saliency=SpectralSaliency(), max_zoom=4.0)
    with ZoomLoader(labelled, zoom, batch_size=3, fields=fields, augment=ALL) as loader:
        ((_, (boxes, _), points, masks, grids, views, sizes),) = list(loader)
    with Shards(labelled) as shards:
        members = [shards[k].members for k in range(3)]
    raw = [torch.tensor(json.loads(m["json"])["boxes"], dtype=torch.float32).view(-1, 4) for m in members]
    ids = [torch.from_numpy(np.array(Image.open(io.BytesIO(m["mask.png"])))) for m in members]

    half_a_step = 0.5 / 2**14  # a loader rounds coordinates to steps, so that whole pixels stay whole
    for found, expected in zip(boxes, warp_boxes(raw, grids, sizes, views=views)[0], strict=True):
        check_close(found, expected, half_a_step + 1e-6)
    for found in unwarp_points(points, grids, sizes, views=views):
        check_close(found, [[20, 26], [60, 50]], 1e-2)
    assert torch.equal(masks, warp_masks(ids, grids).long())


@pytest.mark.parametrize("augment", [None, ALL])
def test_a_zoom_that_asks_for_boxes_is_given_them(labelled, augment):
    """A zoom that needs boxes gets them as fractions of each original, whether or not the batch has the field, too."""
    zoom = SaliencySampler(16, saliency=BoxSaliency("json:boxes"), temperature=0.5)
    boxes = [torch.tensor([[10, 12, 30, 40], [-900, 5, 70, 9000]]), torch.tensor([[10, 12, 30, 40]])]
    fractions = [(b / torch.tensor([120, 80, 120, 80])).clamp(-1, 2) for b in boxes] + [torch.empty(0, 4)]
    for more in ((), (Boxes("json:boxes"),)):
        fields = ("image", "__saliency__", "__view__", *more)
        with ZoomLoader(labelled, zoom, batch_size=3, fields=fields, augment=augment) as loader:
            ((images, saliency, views, *rest),) = list(loader)
        expected = zoom(torch.zeros(3, 3, 80, 120), views=views, boxes=fractions)

        assert len(rest) == len(more)
        assert images.shape == (3, 3, 16, 16)
        check_close(saliency, expected.saliency, 1e-6)
        assert saliency[1].max() > 1.5 * saliency[2].max() or augment
