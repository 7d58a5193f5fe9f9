"""Fields of a sample that the saliency network gets beside the image."""

import re

import numpy as np
import pytest
import torch

from foveal.pipeline import Augment, ZoomCollate, ZoomLoader
from foveal.pipeline.fields import encode_array
from foveal.sampler import SaliencySampler, UniformSampler, ZoomNeeds
from tests.checks import check_close, unhooked
from tests.pipeline.making import encode, picture

WORDS = ["left", "right", "left", "right", "right"]


class Asked(torch.nn.Module):
    """Looks left or right as a text says, and as strongly as a vector is long."""

    def __init__(self):
        super().__init__()
        self.strength = torch.nn.Parameter(torch.ones(()))

    def forward(self, small, *, condition):
        words, vectors = condition
        assert len(words) == len(small) == len(vectors)
        slope = torch.linspace(-1, 1, 9).expand(len(small), 1, 5, 9)
        sign = torch.tensor([1.0 if word == "right" else -1.0 for word in words])
        return self.strength * (sign * vectors.norm(dim=1))[:, None, None, None] * slope


def asked():
    return SaliencySampler(16, saliency=Asked(), condition=("txt", "query.npy"))


def vector(k):
    return np.full(3, 1 + k / 3, np.float32)


@pytest.fixture
def url(write_shard):
    return write_shard(
        [
            {
                "__key__": f"{k}",
                "png": encode(picture(k, 60 + k, 90), "PNG"),
                "cls": k,
                "txt": word,
                "query.npy": encode_array(vector(k)),
            }
            for k, word in enumerate(WORDS)
        ]
    )


def by_hand(views=None):
    zoom = asked()
    vectors = torch.stack([torch.from_numpy(vector(k)) for k in range(len(WORDS))])
    return zoom(torch.zeros(len(WORDS), 3, 60, 90), views=views, condition=(WORDS, vectors))


@pytest.mark.parametrize("augment", [None, Augment(hflip=0.5, crop_scale=(0.3, 0.8))])
@pytest.mark.parametrize(
    "fields", [("png", "__saliency__", "__view__"), ("png", "__saliency__", "__view__", "txt")]
)
def test_a_loader_passes_the_fields(url, augment, fields):
    """The loader passes the fields, whether or not the batch has them, too, and gradients reach the zoom."""
    with ZoomLoader(url, asked(), batch_size=5, fields=fields, augment=augment) as loader:
        ((_, saliency, views, *rest),) = list(loader)
    expected = by_hand(views if augment else None)
    right = saliency[:, 0, :, 5:].sum(dim=(1, 2)) > 0.5

    check_close(saliency, expected.saliency, 1e-6)
    assert right.tolist() == [word == "right" for word in WORDS]
    assert saliency.requires_grad
    assert rest in ([], [WORDS])


def test_a_sample_without_it_is_bad(write_shard):
    """A sample without the field is bad."""
    url = write_shard(
        [
            {"__key__": f"{k}", "png": encode(picture(k, 60, 90), "PNG"), "cls": k, **more}
            for k, more in enumerate(
                [{"txt": "left", "query.npy": encode_array(vector(0))}, {"txt": "right"}]
            )
        ]
    )
    with ZoomLoader(
        url, asked(), batch_size=2, fields=("png", "cls"), on_bad="drop", max_bad_fraction=1.0
    ) as loader:
        with pytest.warns(match="1 bad sample"):
            ((_, labels),) = list(loader)
        [found] = loader.bad_samples

    assert labels.tolist() == [0]
    assert found.reason.startswith("member is missing: there is no query.npy")


class Weighed(torch.nn.Module):
    """Looks as strongly as a layer of an embedding says."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, small, *, condition):
        (query,) = condition
        return small.mean(1, keepdim=True) * self.layer(query)[:, :, None, None]


@pytest.mark.parametrize("trains", [True, False])
def test_a_batch_without_samples(url, trains):
    """A rank that has no sample left gets an empty batch, whose arrays have the shape and dtype of the others."""
    zoom = SaliencySampler(16, saliency=Weighed(), condition=("query.npy",)).requires_grad_(trains)
    fields = ("png", "query.npy", "cls;npy", "txt")
    with ZoomLoader(url, zoom, batch_size=2, fields=fields, rank=1, world_size=2) as loader:
        _, (images, queries, classes, words) = loader

    assert images.shape == (0, 3, 16, 16)
    assert (queries.shape, queries.dtype) == ((0, 3), torch.float32)
    assert (classes.shape, classes.dtype, words) == ((0,), torch.int64, [])


def test_a_batch_of_which_all_is_bad(write_shard):
    """The shape of an empty batch is known although the first samples have no such field."""
    png = encode(picture(0, 60, 90), "PNG")
    whole = {"png": png, "query.npy": encode_array(vector(0))}
    url = write_shard(
        [{"__key__": "0", "png": png}, {"__key__": "1", **whole, "png": b""}, {"__key__": "2", **whole}]
    )
    zoom = SaliencySampler(16, saliency=Weighed(), condition=("query.npy",))
    options = {"batch_size": 1, "on_bad": "drop", "max_bad_fraction": 1.0}
    with (
        ZoomLoader(url, zoom, fields=("png", "query.npy"), **options) as loader,
        pytest.warns(match="2 bad sample"),
    ):
        shapes = [queries.shape for _, queries in loader]

    assert shapes == [(0, 3), (0, 3), (1, 3)]


def test_a_field_that_no_sample_has(write_shard):
    """If no sample has an array, an empty batch has an empty list."""
    url = write_shard([{"__key__": "0", "png": encode(picture(0, 60, 90), "PNG")}])
    options = {"batch_size": 1, "on_bad": "drop", "max_bad_fraction": 1.0}
    with (
        ZoomLoader(url, UniformSampler(8), fields=("png", "npy"), **options) as loader,
        pytest.warns(match="1 bad"),
    ):
        [(_, arrays)] = loader

    assert arrays == []


def test_collate_passes_the_entries():
    """ZoomCollate passes the entries of samples that are dicts."""
    samples = [
        {"image": picture(k, 60 + k, 90), "txt": word, "query.npy": vector(k)} for k, word in enumerate(WORDS)
    ]
    batch = ZoomCollate(asked(), with_grid=True)(samples)

    check_close(batch["__grid__"], by_hand().grid, 1e-5)
    message = "samples[0] must have the entry 'txt' that the zoom asks for, got ['image'] – give"
    collate = ZoomCollate(asked())
    with pytest.raises(ValueError, match=re.escape(message)):
        collate([{"image": samples[0]["image"]}])


def test_what_it_is_kept_as(tmp_path):
    """The names of the fields are settings, which a loader reads and a checkpoint keeps."""
    zoom = asked()
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt", saliency=Asked())

    assert ZoomNeeds.of(again).condition == ("txt", "query.npy")
    assert ZoomNeeds.of(SaliencySampler(8)).condition == ()
    assert SaliencySampler(8, condition="txt").condition == ("txt",)


def test_messages(url):
    """Each error names what was given."""
    image = torch.zeros(1, 3, 8, 8)
    for given, shown in ((None, "None"), ((["a"],), "1")):
        message = f"condition must be one value for each of ('txt', 'query.npy'), got {shown} – call the sampler with"
        with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
            asked()(image, condition=given)
    message = (
        "condition must be None for PriorSaliency, got 1 – make the sampler with condition=(name, ...), for a module of yours "
        "with such keywords."
    )
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SaliencySampler(8)(image, condition=(["a"],))
    message = "condition must be member extensions, such as 'txt' or 'npy', got '__key__'."
    with pytest.raises(ValueError, match=re.escape(message)):
        ZoomLoader(url, SaliencySampler(8, saliency=Asked(), condition=("__key__",)), batch_size=1)
