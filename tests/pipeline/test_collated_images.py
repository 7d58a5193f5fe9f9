"""The forms of images that ZoomCollate takes: files, arrays, tensors and Pillow's images."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from foveal.pipeline import ZoomCollate, ZoomLoader, decode
from foveal.sampler import FixedSaliency, SaliencySampler, UniformSampler
from tests.checks import check_close
from tests.pipeline.decoding.pixels_table import packed_tiff
from tests.pipeline.making import encode, picture


def image_forms(image):
    frozen = image.copy()
    frozen.flags.writeable = False
    return {
        "tensor": torch.from_numpy(image.copy()),
        "channels first": torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous(),
        "array": image.copy(),
        "array that cannot be written to": frozen,
        "array with negative strides": image[::-1].copy()[::-1],
        "array, channels first": np.ascontiguousarray(image.transpose(2, 0, 1)),
        "PIL": Image.fromarray(image),
        "PIL with transparency": Image.fromarray(image).convert("RGBA"),
        "bytes": encode(image, "PNG"),
        "memoryview": memoryview(encode(image, "PNG")),
    }


def test_forms_of_images():
    """Every form of image gives the same result, also mixed in one batch."""
    image = picture(3, 81, 105)
    zoom = SaliencySampler((24, 32), temperature=0.2).requires_grad_(False)
    forms = image_forms(image)
    zoomed, names = ZoomCollate(zoom)([(form, name) for name, form in forms.items()])

    assert names == list(forms)
    for each in zoomed:
        check_close(each, zoom([torch.from_numpy(image.copy())]).images[0], 1e-4)


@pytest.mark.parametrize("mode", ["dali", "auto"])
def test_images_one_at_a_time(write_shard, mode):
    """ZoomCollate has the loader's pixels up to rounding, in either mode; ``decode`` has those of DALI, together bit for bit."""
    files = [encode(picture(k, 400 + k, 300)) for k in range(3)]
    zoom = SaliencySampler(16, max_zoom=2.0, saliency=FixedSaliency(torch.eye(5) + 0.2), lowres_size=(32, 32))
    shard = write_shard([{"__key__": str(k), "jpg": file} for k, file in enumerate(files)])
    with ZoomLoader(shard, zoom, batch_size=3, fields=("image",), decode=mode) as loader:
        ((expected,),) = list(loader)

    collate = ZoomCollate(zoom, decode=mode)
    check_close(torch.cat([collate([(file,)])[0] for file in files]), expected, 1e-5)
    by_decode = torch.cat([zoom(decode([file])).images for file in files])
    assert ((by_decode - expected).abs().max() < 1e-5) == (mode == "dali")
    assert torch.equal(zoom(decode(files)).images, expected) == (mode == "dali")


@pytest.mark.parametrize("decode", ["dali", "auto"])
def test_encoded_images_are_decoded_as_the_loader_does(write_shard, decode):
    """A bounded zoom gets scaled copies of large JPEGs, and ``__size__`` is that of the originals."""
    files = [encode(picture(k, 400 + k, 300)) for k in range(3)]
    zoom = SaliencySampler(16, max_zoom=2.0, saliency=FixedSaliency(torch.eye(5) + 0.2), lowres_size=(32, 32))
    fields = ("image", "__grid__", "__size__")
    shard = write_shard([{"__key__": str(k), "jpg": file} for k, file in enumerate(files)])
    with ZoomLoader(shard, zoom, batch_size=3, fields=fields, decode=decode) as loader:
        expected = next(iter(loader))
    found = ZoomCollate(zoom, with_grid=True, decode=decode)([(file,) for file in files])

    assert found[2].tolist() == [[400, 300], [401, 300], [402, 300]]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_scaled_copies_are_used():
    """Some images of the test above are decoded at a smaller scale."""
    zoom = SaliencySampler(16, max_zoom=2.0, saliency=FixedSaliency(torch.eye(5) + 0.2), lowres_size=(32, 32))
    sample = (encode(picture(0, 400, 300)),)
    auto, dali = (ZoomCollate(zoom, decode=mode)([sample])[0] for mode in ("auto", "dali"))

    assert not torch.equal(auto, dali)


def deep_files() -> dict[str, bytes]:
    """Return files whose pixels Pillow changes when it reads them, or whose white Pillow does not report."""
    ramp = np.tile(np.linspace(0, 65535, 160), (96, 1)).astype(np.uint16)
    colours = np.dstack([ramp, ramp[:, ::-1], ramp // 2])

    def tiff(values, **options):
        file = io.BytesIO()
        tifffile.imwrite(file, values, **options)
        return file.getvalue()

    header = b"P5\n160 96\n4095\n"
    return {
        "grey PNG of 16 bits": imagecodecs.png_encode(ramp),
        "RGB PNG of 16 bits": imagecodecs.png_encode(colours),
        "grey TIFF of 16 bits": tiff(ramp, photometric="minisblack"),
        "RGB TIFF of 16 bits": tiff(colours, photometric="rgb"),
        "inverted TIFF of 16 bits": tiff(ramp, photometric="miniswhite"),
        "TIFF of 12 bits": packed_tiff(ramp >> 4),
        "float TIFF": tiff((ramp / 65535).astype(np.float32), photometric="minisblack"),
        "grey JPEG 2000 of 16 bits": imagecodecs.jpeg2k_encode(ramp, level=0, codecformat="jp2"),
        "RGB JPEG 2000 of 16 bits": imagecodecs.jpeg2k_encode(colours, level=0, codecformat="jp2"),
        "PGM to 4095": header + (ramp >> 4).astype(">u2").tobytes(),
        "PNG with a palette": encode(Image.fromarray(picture(0, 96, 160)).quantize(16), "PNG"),
        "CMYK JPEG": encode(Image.fromarray(picture(0, 96, 160)).convert("CMYK")),
    }


DEEP = deep_files()


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("window", [None, (0, 4000), "auto"])
def test_a_file_and_the_image_that_was_opened_from_it(name, window):
    """A file and the image that Pillow opened from it give the same pixels, or a TypeError."""
    collate = ZoomCollate(UniformSampler((96, 160), antialias=False), window=window)
    try:
        [images, _] = collate([(DEEP[name], 0)])
    except ValueError as error:
        assert "bands" in str(error) or "needs a window" in str(error), name  # noqa: PT017 - of some alone
        return
    assert torch.equal(images, collate([(Image.open(io.BytesIO(DEEP[name])), 0)])[0])

    read = Image.open(io.BytesIO(DEEP[name]))
    read.load()
    if window is None and name not in (
        "inverted TIFF of 16 bits",
        "TIFF of 12 bits",
        "RGB JPEG 2000 of 16 bits",
    ):
        assert float((images - collate([(read, 0)])[0]).abs().max()) < 1.5 / 255


@pytest.mark.parametrize("window", [None, (100, 40_000), "auto"])
def test_a_file_and_an_array_of_its_samples(window):
    """Arrays and tensors of uint16, or of floats in [0, 1], give the pixels of the file that stores them."""
    collate = ZoomCollate(UniformSampler((96, 160), antialias=False), window=window)
    ramp = np.tile(np.linspace(0, 65535, 160), (96, 1)).astype(np.uint16)
    colours = np.dstack([ramp, ramp[:, ::-1], ramp // 2])
    for values in (ramp, colours, ramp[..., None]):
        [images] = collate([(imagecodecs.png_encode(values.squeeze()),)])
        for form in (values, torch.from_numpy(values.astype(np.int32)).to(torch.uint16)):
            assert torch.equal(images, collate([(form,)])[0])
    if window is None:
        [floats] = collate([((colours / 65535).astype(np.float32),)])
        expected = torch.from_numpy(np.rint(colours / 65535 * 255) / 255).permute(2, 0, 1)
        assert float((floats[0] - expected).abs().max()) < 1e-6
        assert torch.equal(floats, collate([(torch.from_numpy(colours / 65535).permute(2, 0, 1),)])[0])


def test_half_precision():
    """Tensors of bfloat16 and float16 in [0, 1] give the pixels of float32, to their own precision."""
    colours = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
    collate = ZoomCollate(UniformSampler(16))
    exact = collate([(colours, 0)])[0]

    assert float((collate([(colours.bfloat16(), 0)])[0] - exact).abs().max()) < 2**-8
    assert float((collate([(colours.half(), 0)])[0] - exact).abs().max()) < 2**-8


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, bool])
def test_grey_in_any_shape(kind):
    """One plane first, last or alone, in an array or a tensor, as torchvision's transforms return it: the same grey image."""
    grey = np.random.default_rng(0).random((24, 32)) > 0.5
    white = 1 if kind in (bool, np.float32) else np.iinfo(kind).max
    values = (grey * white).astype(kind)
    collate = ZoomCollate(UniformSampler((24, 32), antialias=False))
    expected = torch.from_numpy(grey).float().expand(3, -1, -1)

    for shape in ((24, 32), (1, 24, 32), (24, 32, 1)):
        for form in (values.reshape(shape), torch.from_numpy(values.reshape(shape))):
            check_close(collate([(form,)])[0][0], expected, 1e-6)


def test_three_bands_of_an_array():
    """Bands of an array are chosen by index, as those of a file."""
    values = np.random.default_rng(0).integers(0, 65536, (96, 160, 13), dtype=np.uint16)
    zoom = UniformSampler((96, 160), antialias=False)

    [images] = ZoomCollate(zoom, bands=(3, 2, 1))([(values,)])

    assert torch.equal(images, ZoomCollate(zoom)([(np.ascontiguousarray(values[..., [3, 2, 1]]),)])[0])
    with pytest.raises(ValueError, match=r"images\[0\] must be a readable image, got one that has 13 bands"):
        ZoomCollate(zoom, bands=(3, 2, 13))([(values,)])


def test_a_draft_is_taken_as_it_is():
    """An image that Pillow opened in draft mode is not read from its file again."""
    file = encode(picture(0, 400, 640), quality=95)
    draft = Image.open(io.BytesIO(file))
    draft.draft("RGB", (80, 50))

    assert ZoomCollate(UniformSampler(8), with_grid=True)([(draft,)])[-1].tolist() == [list(draft.size[::-1])]


def test_images_come_upright():
    """Files and Pillow's images are rotated upright by EXIF, also if they were read or converted before."""
    turned = Image.Exif()
    turned[0x0112] = 6
    file = encode(picture(0, 40, 60), exif=turned)
    collate = ZoomCollate(UniformSampler(8), with_grid=True)

    assert collate([(file,)])[-1].tolist() == [[60, 40]]
    opened = Image.open(io.BytesIO(file))
    converted = Image.open(io.BytesIO(file)).convert("RGB")
    upright = ImageOps.exif_transpose(converted)
    for image in (opened, converted, upright):
        assert collate([(image,)])[-1].tolist() == [[60, 40]]
