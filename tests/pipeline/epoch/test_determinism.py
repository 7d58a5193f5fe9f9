"""The same seed gives bit-identical batches."""

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from foveal.pipeline import ZoomLoader
from foveal.pipeline.epoch import _epoch, _micro_batch
from foveal.sampler import SaliencyNet, SaliencySampler, UniformSampler
from tests.pipeline.making import encode, picture

pytestmark = pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
FIELDS = ("image", "cls", "__key__", "__valid__", "__grid__", "__saliency__")
CUT = encode(picture(0, 400, 600), quality=95)[:9000]


@pytest.fixture
def urls(write_shard) -> list[str]:
    """Return shards with thirty pictures of different sizes, of which five are bad in different ways."""
    bad = {2: {"jpg": b"", "cls": 2}, 9: {"jpg": CUT, "cls": 9}, 10: {"cls": 10}, 17: {"jpg": CUT, "cls": 17}}
    samples = [
        {"__key__": f"{k:02d}", **bad.get(k, {"jpg": encode(picture(k, 60 + 9 * k, 310 - 7 * k)), "cls": k})}
        for k in range(30)
    ]
    return [write_shard(samples[:14], "a.tar"), write_shard(samples[14:], "b.tar")]


def batches(urls, zoom, *, trains=False, **options) -> list[tuple]:
    """Return the batches of an epoch, with the same random strengths of a zoom that trains."""
    torch.manual_seed(0)
    zoom.requires_grad_(trains)
    options = {
        "batch_size": 12,
        "fields": FIELDS,
        "shuffle": True,
        "seed": 1,
        "max_bad_fraction": 1.0,
        **options,
    }
    with ZoomLoader(urls, zoom, **options) as loader:
        return [tuple(f.detach() if isinstance(f, torch.Tensor) else f for f in batch) for batch in loader]


def equal(ours, theirs) -> bool:
    def same(a, b) -> bool:
        return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

    return len(ours) == len(theirs) and all(
        same(a, b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_the_comparison_can_fail(urls):
    """The comparison notices one bit of one pixel."""
    ours = batches(urls, UniformSampler(8))
    image = ours[0][0].clone()
    assert equal(ours, [(image, *ours[0][1:]), *ours[1:]])
    image.view(torch.int32)[3, 0, 0, 0] ^= 1
    assert not equal(ours, [(image, *ours[0][1:]), *ours[1:]])
    assert not equal(ours, ours[:-1])


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("on_bad", ["substitute", "drop"])
def test_threads_and_batches_ahead_change_no_bit(urls, trains, on_bad):
    """The number of threads and of batches ahead changes no bit, with bad images, and with a frozen or a training zoom."""
    torch.manual_seed(0)
    zoom = SaliencySampler((24, 16))
    expected = batches(urls, zoom, trains=trains, on_bad=on_bad)
    for threads, ahead in ((1, 1), (2, 3), (5, 2)):
        options = {"num_threads": threads, "prefetch_factor": ahead, "on_bad": on_bad}
        assert equal(batches(urls, zoom, trains=trains, **options), expected)


def test_random_layers_take_their_numbers_between_those_of_the_script(urls):
    """A zoom that draws at random has the same batches in each run, and leaves the script's own numbers as they are."""
    torch.manual_seed(0)
    zoom = SaliencySampler(16, saliency=nn.Sequential(SaliencyNet(), nn.Dropout())).requires_grad_(
        requires_grad=False
    )

    def run(num_threads: int, prefetch_factor: int) -> list[tuple[torch.Tensor, float]]:
        torch.manual_seed(0)
        options = {"num_threads": num_threads, "prefetch_factor": prefetch_factor, "max_bad_fraction": 1.0}
        with ZoomLoader(urls, zoom, batch_size=8, fields=("image",), **options) as loader:
            return [(images, float(torch.rand(()))) for (images,) in loader]

    assert equal(run(1, 1), run(4, 3))


def test_statistics_are_those_of_the_batches_that_were_delivered(urls):
    """A frozen zoom with batch norm in training mode has the same batches and statistics however many are prepared, also if a script validates meanwhile."""

    def run(num_threads: int, prefetch_factor: int) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(1)
        zoom = SaliencySampler(16, saliency=nn.Sequential(SaliencyNet(), norm)).requires_grad_(
            requires_grad=False
        )
        options = {"num_threads": num_threads, "prefetch_factor": prefetch_factor, "max_bad_fraction": 1.0}
        seen = []
        with ZoomLoader(urls, zoom, batch_size=4, fields=("image",), **options) as loader:
            for (images,) in loader:
                zoom.eval()
                seen.append((images, norm.running_mean.clone(), int(norm.num_batches_tracked)))
                time.sleep(0.05)  # in which a thread would zoom the next batch
                zoom.train()
        return seen

    ahead = run(4, 3)

    assert [count for *_, count in ahead] == list(range(1, 9))
    assert equal(run(1, 1), ahead)


class Counting(UniformSampler):
    """Records how many images are zoomed together."""

    def __init__(self) -> None:
        super().__init__(600)  # needs them at full size
        self.counts: list[int] = []
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, images, lowres=None, views=None):
        self.counts.append(len(images))
        return super().forward(images, lowres, views)


@pytest.mark.parametrize(
    ("trains", "decode"), [(False, "auto"), (False, "dali"), (True, "auto"), (True, "dali")]
)
def test_threads_do_not_change_which_images_are_zoomed_together(write_shard, monkeypatch, trains, decode):
    """However many threads there are, and however large the images, the same are zoomed together."""
    sizes = [(60 + 9 * k, 310 - 7 * k) for k in range(30)]
    urls = write_shard(
        [{"__key__": f"{k}", "jpg": encode(picture(k, *size))} for k, size in enumerate(sizes)]
    )
    monkeypatch.setattr(_epoch, "IMAGE_BYTES", 3 * 300 * 300)
    counts = set()
    for threads in (1, 2, 5, 9):
        zoom = Counting()
        batches(urls, zoom, trains=trains, decode=decode, num_threads=threads, fields=("image",))
        counts.add(tuple(zoom.counts))

    assert len(counts) == 1
    assert max(*counts.pop()) > 1


def test_bad_samples_that_are_known_change_no_bit(urls, tmp_path):
    """Batches are the same whether bad samples are found while reading or decoding, or are listed in a quarantine file."""
    torch.manual_seed(0)
    zoom = SaliencySampler((24, 16))
    for on_bad in ("substitute", "drop"):
        expected = batches(urls, zoom, on_bad=on_bad)
        for _ in range(2):
            assert equal(batches(urls, zoom, on_bad=on_bad, quarantine=tmp_path / on_bad), expected)


@pytest.mark.parametrize("size", [1, 2, 5, 30])
def test_micro_batches(urls, monkeypatch, size):
    """The size of micro-batches changes no bit if the zoom has no network.

    torch's convolutions may choose another way for another number of images, and round otherwise.
    """
    torch.manual_seed(0)
    saliency = SaliencySampler((24, 16))
    plain, zoomed = batches(urls, UniformSampler(8)), batches(urls, saliency)
    for limit in ("MICRO_BATCH", "TRAINED_TOGETHER"):
        monkeypatch.setattr(_micro_batch, limit, size)
    assert equal(batches(urls, UniformSampler(8)), plain)
    for ours, theirs in zip(batches(urls, saliency), zoomed, strict=True):
        assert ours[2] == theirs[2]
        assert torch.allclose(ours[4], theirs[4], rtol=0, atol=1e-6)
        assert torch.allclose(ours[0], theirs[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("trains", [False, True])
def test_photographs(data_dir, trains):
    """Photographs of a dozen cameras give the same bits with any number of threads."""
    urls = [str(Path(data_dir) / "photos" / "photos-000000.tar")]
    torch.manual_seed(0)
    zoom = SaliencySampler(64)
    options = {"trains": trains, "batch_size": 5, "on_bad": "drop"}
    assert equal(batches(urls, zoom, num_threads=1, **options), batches(urls, zoom, num_threads=4, **options))
