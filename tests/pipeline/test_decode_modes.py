"""decode="auto" and "dali": which decoder an image goes to, and what a loader delivers."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from foveal.pipeline import Augment, Boxes, Decoder, ZoomCollate, ZoomLoader, peek
from foveal.pipeline.decoding import ByLibjpeg, as_decode_mode, by_libjpeg, describe_decoder
from foveal.sampler import FixedSaliency, SaliencySampler
from tests.pipeline.decoding.by_libjpeg import WHOLE
from tests.pipeline.making import encode, picture


@pytest.mark.parametrize(
    "file",
    [
        encode(picture(0, 64, 64), "PNG"),
        encode(Image.fromarray(picture(0, 64, 64)).convert("CMYK")),
        encode(picture(0, 64, 64))[:-40],
        encode(picture(0, 64, 64)) + b"something follows" * 8,
    ],
    ids=["PNG", "CMYK", "cut", "followed"],
)
def test_everything_else_goes_dalis_way(file):
    """Other formats, CMYK and truncated files are decoded by DALI."""
    image = peek(file)
    assert ByLibjpeg(WHOLE)(image, 0) == image


def test_what_libjpeg_refuses_dali_decodes():
    """A damaged JPEG has the pixels or the error of DALI or Pillow, and its neighbours are unaffected."""
    plan = ByLibjpeg(WHOLE)
    good = encode(picture(1, 64, 48))
    torn = bytearray(encode(picture(0, 64, 64), quality=95))
    torn[-200:-100] = bytes(100)
    files = [good, bytes(torn), good]
    with Decoder() as decoder:
        ours = decoder.start([plan(peek(file), 0) for file in files]).result()
        theirs = decoder.start([peek(file) for file in files]).result()

    for mine, other in zip(ours, theirs, strict=True):
        assert type(mine) is type(other)
        assert torch.equal(mine, other) if isinstance(mine, Tensor) else mine.reason == other.reason


@pytest.fixture
def photo_like(write_shard):
    """Return large pictures with a bright middle and a box around it, some of them rotated by EXIF."""
    samples = []
    for k, size in enumerate([(600, 803), (1201, 900), (64, 64), (777, 512)]):
        pixels = picture(k, *size) // 2
        pixels[size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = 255
        exif = Image.Exif()
        exif[0x0112] = 6 if k == 1 else 1
        height, width = (size[1], size[0]) if k == 1 else size
        samples.append(
            {
                "__key__": f"{k}",
                "jpg": encode(pixels, exif=exif),
                "cls": k,
                "json": {"boxes": [[width // 4, height // 4, width // 2, height // 2]]},
            }
        )
    return write_shard(samples)


FIELDS = ("image", "__size__", "__grid__", Boxes("json:boxes"), "__key__", "__view__")


def load(urls: str, zoom: torch.nn.Module, **options) -> list:
    with ZoomLoader(urls, zoom, batch_size=4, fields=FIELDS, **options) as loader:
        return next(iter(loader))


def test_without_a_bound_batches_are_the_same(photo_like):
    """Without a bound on the zoom, batches are bit-identical to those of decode="dali"."""
    zoom = SaliencySampler(32, max_zoom=None).eval().requires_grad_(False)
    whole, auto = (load(photo_like, zoom, decode=mode) for mode in ("dali", "auto"))

    for a, b in zip(whole[:3], auto[:3], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("augment", [None, Augment(crop_scale=(0.5, 1), hflip=0.5, rotate_deg=30)])
def test_with_a_bound_all_stays_in_the_originals_frame(photo_like, augment):
    """With a bound, sizes, grids, views and boxes are those of the original."""
    zoom = SaliencySampler(48, max_zoom=2.0, saliency=FixedSaliency(torch.eye(5) + 0.2), lowres_size=(32, 32))
    whole, auto = (load(photo_like, zoom, decode=mode, augment=augment) for mode in ("dali", "auto"))

    assert torch.equal(whole[1], auto[1])
    assert float((whole[2] - auto[2]).abs().max()) < 1e-6
    assert torch.equal(whole[5], auto[5])
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(whole[3].boxes, auto[3].boxes, strict=True))
    assert float((whole[0] - auto[0]).abs().mean()) < 1 / 255
    assert not torch.equal(whole[0], auto[0])  # or nothing was decoded smaller


def test_a_grid_that_is_off_is_noticed(photo_like):
    """The tolerance above is smaller than the difference to a picture that is shifted by an output pixel."""
    zoom = SaliencySampler(48, max_zoom=2.0, saliency=FixedSaliency(torch.eye(5) + 0.2), lowres_size=(32, 32))
    images = load(photo_like, zoom, decode="auto")[0]

    assert float((images - images.roll(1, dims=3)).abs().mean()) > 1 / 255


def test_the_mode_is_checked(photo_like):
    """An unknown mode is refused with the list of modes."""
    with pytest.raises(ValueError, match=re.escape("decode must be 'dali' or 'auto', got 'fast'.")):
        ZoomLoader(photo_like, WHOLE, batch_size=1, decode="fast")


@pytest.mark.parametrize("make", [partial(ZoomCollate, WHOLE), as_decode_mode], ids=["collate", "function"])
def test_the_old_name_of_dali_still_works(make):
    """decode="full" means "dali", with a warning that says so."""
    with pytest.warns(DeprecationWarning, match=re.escape('decode="full" is now called "dali"')):
        made = make(decode="full")

    assert getattr(made, "decode", made) == "dali"


def test_the_warning_names_the_line_that_uses_the_old_name(photo_like):
    """The warning points to the line of the caller."""
    with pytest.warns(DeprecationWarning, match="dali") as warned:
        ZoomLoader(photo_like, WHOLE, batch_size=4, decode="full")

    assert Path(warned[0].filename) == Path(__file__)


def test_auto_is_the_default(photo_like):
    """ZoomLoader and ZoomCollate decode scaled copies by default if the zoom has a bound."""
    zoom = SaliencySampler(48, max_zoom=2.0, saliency=FixedSaliency(torch.eye(5) + 0.2), lowres_size=(32, 32))
    auto, dali = (load(photo_like, zoom, decode=mode)[0] for mode in ("auto", "dali"))

    assert torch.equal(load(photo_like, zoom)[0], auto)
    assert not torch.equal(auto, dali)
    assert ZoomCollate(zoom).decode == "auto"


def test_on_a_gpu_auto_is_dali():
    """On a GPU, decode="auto" leaves all images to DALI."""
    assert by_libjpeg("auto", torch.device("cuda"), WHOLE) is None
    assert by_libjpeg("dali", torch.device("cpu"), WHOLE) is None
    assert isinstance(by_libjpeg("auto", torch.device("cpu"), WHOLE), ByLibjpeg)


def test_decoders_are_named_as_they_are_used():
    """The fingerprint of zoomed shards names the decoders that are used: on a GPU only DALI."""
    assert "simplejpeg" in describe_decoder("cpu", "auto")
    assert "simplejpeg" not in describe_decoder("cpu", "dali") + describe_decoder("cuda", "auto")


def test_it_ends_where_the_reader_stops(photo_like):
    """Work in progress is finished when an epoch is left, when another begins and when the process ends."""
    zoom = WHOLE
    with ZoomLoader(photo_like, zoom, batch_size=1, decode="auto", num_threads=2) as loader:
        for _ in range(5):
            next(iter(loader))
        assert len(list(loader)) == 4
