"""Smaller copies of images are large enough, and are sampled like their originals, up to the far edge."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foveal.pipeline import Augment, EncodedImage, ZoomCollate, ZoomLoader, decode
from foveal.pipeline.copies import Copies
from foveal.pipeline.decoding import frame_of, trimmed
from foveal.pipeline.decoding._scale import pixels_for_each, scale_for
from foveal.sampler import BoxSaliency, FixedSaliency, SaliencySampler, UniformSampler, Zoomed, compose
from tests.checks import check_psnr
from tests.pipeline.decoding.by_libjpeg import decoded_by_libjpeg
from tests.pipeline.making import encode, picture

OUT = 40
RISE = 245  # levels, from one edge to the other


def ramp(height: int, width: int, axis: int, offset: float = 0) -> np.ndarray:
    """Return a grey ramp, whose levels tell where the image was read."""
    place = np.mgrid[:height, :width][axis] + 0.5
    return (offset + RISE * place / (height, width)[axis]).round().astype(np.uint8)


def jpegs(height: int, width: int, axis: int, orientation: int = 1) -> list[tuple[bytes]]:
    """Return ramps whose levels are shifted by fractions, so that rounding cancels in their mean."""
    exif = Image.Exif()
    exif[0x112] = orientation
    return [(encode(ramp(height, width, axis, k / 8), quality=100, exif=exif),) for k in range(8)]


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return by how many output pixels two batches of ramps differ at an edge, if they agree in the middle."""
    off = (one - other)[:, 0].mean(dim=0) * 255 / (RISE / OUT)
    along = [off[3:-3].mean(dim=0), off[:, 3:-3].mean(dim=1)]
    pairs = [each.view(-1, 2).mean(dim=1) for each in along]  # what alternates is no place
    return max(float((each - each.median()).abs().max()) for each in pairs)


ZOOMS = {
    "uniform": UniformSampler(OUT),
    "separable": SaliencySampler(
        OUT, saliency=FixedSaliency(torch.ones(5, 5)), max_zoom=1.0, family="separable", lowres_size=(16, 16)
    ),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("zoom", ZOOMS)
def test_auto_and_dali_look_at_the_same_places(orientation, zoom):
    """decode="auto" and "dali" read the same places to 0.02 output pixels, for sizes that no scale divides."""
    for height, width, axis in ((805, 1203, 0), (801, 1207, 1), (331, 665, 1)):
        files = jpegs(height, width, axis, orientation)
        full, auto = (
            ZoomCollate(ZOOMS[zoom], with_grid=True, decode=mode)(files) for mode in ("dali", "auto")
        )
        assert torch.equal(full[-1], auto[-1])
        assert float((full[1] - auto[1]).abs().max()) < 1e-6
        assert not torch.equal(full[0], auto[0])  # or nothing was decoded smaller
        assert apart(full[0], auto[0]) < 0.02


def test_a_copy_in_the_frame_of_its_own_is_noticed(monkeypatch):
    """The difference is larger if the size of the copy is rounded to whole pixels."""
    files = jpegs(805, 1203, 1)
    full = ZoomCollate(ZOOMS["uniform"], decode="dali")(files)[0]
    monkeypatch.setattr("foveal.pipeline.copies._copies.frame_of", lambda image: None)

    assert apart(full, ZoomCollate(ZOOMS["uniform"], decode="auto")(files)[0]) > 0.05


def area_mean(image: np.ndarray, size: int) -> np.ndarray:
    """Each output pixel's mean: source pixels count by the part of them that lies in it."""
    for axis in (0, 1):
        place, edges = np.arange(image.shape[axis]), np.linspace(0, image.shape[axis], size + 1)
        inside = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
        share = inside.clip(0) / inside.clip(0).sum(1, keepdims=True)
        image = np.moveaxis(np.tensordot(share, image, (1, axis)), 0, axis)
    return image


@pytest.mark.parametrize("mode", ["dali", "auto"])
def test_strong_shrinking_is_the_area_mean(mode):
    """Noise, 64 and 85 times smaller, to 42 dB and more, also by way of a copy at an eighth."""
    noise = np.random.default_rng(0).integers(0, 256, (1536, 2048, 3), dtype=np.uint8)
    file = encode(noise, quality=95, subsampling=0)
    [found] = ZoomCollate(UniformSampler(24), decode=mode)([(file,)])[0]
    expected = area_mean(decode([file])[0].double().numpy() / 255, 24)

    check_psnr(found.permute(1, 2, 0), expected, 42)


def test_views_are_of_the_original(write_shard):
    """Flips, crops and rotations of copies equal those of the originals."""
    shard = write_shard(
        [{"__key__": f"{k}", "jpg": jpegs(1605 + k, 2403 - 3 * k, k % 2, 1 + k)[0][0]} for k in range(8)]
    )
    augment = Augment(hflip=0.5, vflip=0.5, crop_scale=(0.5, 1), rotate_deg=20)
    fields = ("image", "__grid__", "__view__")
    batches = []
    for mode in ("dali", "auto"):
        with ZoomLoader(
            shard, ZOOMS["uniform"], batch_size=8, fields=fields, decode=mode, augment=augment
        ) as loader:
            batches += list(loader)
    full, auto = batches

    assert torch.equal(full[2], auto[2])
    assert float((full[1] - auto[1]).abs().max()) < 1e-5
    assert float((full[0] - auto[0])[..., 3:-3, 3:-3].abs().max()) < 2 / 255


def an_image(height: int, width: int, scale: int, orientation: int) -> EncodedImage:
    return EncodedImage(b"", height, width, "libjpeg", whole=True, scale=scale, orientation=orientation)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([1, 2, 4, 8]), st.integers(1, 8))
def test_frames(height, width, scale, orientation):
    """The corners of the original map to where its pixels end in the copy; the trimmed copy is within half a pixel."""
    image = an_image(height, width, scale, orientation)
    frame = frame_of(image)
    rows, cols = (-(-side // scale) for side in image.upright_size)
    corners = torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]], dtype=torch.float64)
    inside = corners if frame is None else compose(frame[None], corners)

    pixels = (inside[0] + 1) / 2 * torch.tensor([cols, rows])  # of the copy
    across, down = (pixels[1] - pixels[0]).tolist()
    assert abs(down * scale - image.upright_size[0]) < 1e-6
    assert abs(across * scale - image.upright_size[1]) < 1e-6
    assert float(pixels.min()) > -1e-9
    assert float((pixels[1] - torch.tensor([cols, rows])).max()) < 1e-9
    kept = trimmed(torch.zeros(rows, cols, 3, dtype=torch.uint8), image)
    assert abs(kept.shape[0] - down) <= max(0.5, 1 - down)
    assert abs(kept.shape[1] - across) <= max(0.5, 1 - across)


class Plain(torch.nn.Module):
    """A zoom that takes no views."""

    def forward(self, images, lowres=None):
        self.shapes = [tuple(image.shape) for image in images]
        return Zoomed(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, 2), torch.ones(1, 1, 1, 1))


def test_a_zoom_that_takes_no_views():
    """A zoom that takes no views gets the trimmed copy, and its grid is unchanged."""
    image, zoom = an_image(805, 803, 8, 1), Plain()
    copies = Copies([image], [torch.zeros(101, 101, 3, dtype=torch.uint8)], takes_views=False)

    assert not copies.zoom(zoom, None).grid.any()
    assert zoom.shapes == [(101, 100, 3)]


def test_boxes_are_of_the_original():
    """The zoom gets boxes in the copy's frame, and reads the same places."""
    boxes = [torch.tensor([[0.7, 0.1, 0.95, 0.4]])]
    zoom = SaliencySampler(OUT, saliency=BoxSaliency(), lowres_size=(16, 16), max_zoom=3.0)
    full = Copies([None], [torch.zeros(805, 1203, 3, dtype=torch.uint8)], takes_views=True)
    image = an_image(805, 1203, 8, 3)
    small = torch.zeros(101, 151, 3, dtype=torch.uint8)
    copies = Copies([image], [small], takes_views=True)

    one, other = (each.zoom(zoom, each.look((16, 16)), boxes=boxes) for each in (full, copies))
    assert float((one.grid - other.grid).abs().max()) < 1e-5


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 900), st.integers(1, 900))
def test_the_copy_suffices(height, width, needed_height, needed_width):
    """The copy is as large as needed, or the original; half of its size would not be enough."""
    scale = scale_for(pixels_for_each((height, width), (needed_height, needed_width)))

    assert scale == 1 or (height // scale >= needed_height and width // scale >= needed_width)
    assert scale == 8 or height < 2 * scale * needed_height or width < 2 * scale * needed_width


@given(st.integers(100, 5000), st.integers(100, 5000), st.integers(0, 10**6))
def test_views_are_not_shown_coarser(height, width, seed):
    """For a rotated crop, the copy has as many pixels along each axis of the view as are needed."""
    augment = Augment(crop_scale=(0.05, 1), crop_ratio=(0.5, 2.0), rotate_deg=180, hflip=0.5)
    view = augment.view((height, width), (seed, 0, 0))
    needed = (60, 90)

    scale = scale_for(pixels_for_each((height, width), needed, view))

    to_pixels = torch.tensor([[width / 2], [height / 2]]) * view[:, :2]
    across, down = (2 * float(to_pixels[:, k].norm()) / scale for k in (0, 1))
    assert scale == 1 or (across >= 0.999 * needed[1] and down >= 0.999 * needed[0])


def test_needs_of_a_zoom_include_its_own_look():
    """The copy is large enough for the low-resolution input of the zoom, even if the output needs less."""
    file = encode(picture(0, 800, 800), subsampling="4:2:0")

    assert decoded_by_libjpeg(file, SaliencySampler(10, max_zoom=1.0, lowres_size=(100, 100)))[0] == 8
    assert decoded_by_libjpeg(file, SaliencySampler(10, max_zoom=1.0, lowres_size=(101, 100)))[0] == 4
