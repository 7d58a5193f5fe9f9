"""ZoomCollate as the ``collate_fn`` of torch's DataLoader and of webdataset."""

import gc
import io
import pickle
import re
import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
import webdataset as wds
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, default_collate

from foveal.pipeline import ZoomCollate, ZoomLoader, decode
from foveal.pipeline._zoom_collate import join_labels
from foveal.sampler import BoxSaliency, FixedSaliency, SaliencySampler, UniformSampler, warp_boxes
from tests.checks import check_close
from tests.pipeline.decoding.pixels_table import packed_tiff
from tests.pipeline.making import encode, picture

PICTURES = [picture(k, 60 + 7 * k, 90 + 5 * k) for k in range(11)]

# Python 3.12 warns whenever a process with threads forks, as every DataLoader with workers does.
forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def zoom() -> SaliencySampler:
    torch.manual_seed(0)
    return SaliencySampler((24, 32), temperature=0.2).requires_grad_(False)


def tensors() -> list[tuple[torch.Tensor, int]]:
    return [(torch.from_numpy(image.copy()), k) for k, image in enumerate(PICTURES)]


def check_batches(batches, zoom, pictures=PICTURES):
    """Check that each batch is the zoom of its pictures, which the labels identify."""
    seen = []
    for images, labels in batches:
        expected = zoom([torch.from_numpy(pictures[k].copy()) for k in labels]).images
        assert labels.dtype == torch.int64
        check_close(images, expected, 1e-4)
        seen += labels.tolist()
    assert sorted(seen) == list(range(len(pictures)))


def test_as_the_zoom_itself(zoom):
    """Images and labels equal those of the zoom, also for batches that are zoomed in parts."""
    check_batches(DataLoader(tensors(), batch_size=4, collate_fn=ZoomCollate(zoom)), zoom)
    check_batches(DataLoader(tensors(), batch_size=11, collate_fn=ZoomCollate(zoom)), zoom)


def test_a_wrong_picture_would_be_seen(zoom):
    """The check above fails if two pictures are exchanged."""
    exchanged = [tensors()[1], tensors()[0], *tensors()[2:]]
    wrong = [(image, k) for k, (image, _) in enumerate(exchanged)]
    with pytest.raises(AssertionError, match="off by"):
        check_batches(DataLoader(wrong, batch_size=4, collate_fn=ZoomCollate(zoom)), zoom)


@forks
@pytest.mark.parametrize("encoded", [False, True])
def test_in_forked_workers(zoom, encoded):
    """Forked workers work even if torch, numba and DALI have used threads in this process before."""
    files = [encode(image, "PNG") for image in PICTURES]
    zoom([torch.from_numpy(image.copy()) for image in PICTURES])
    decode(files)
    data = [(file, k) for k, file in enumerate(files)] if encoded else tensors()
    options = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": "fork", "timeout": 100}
    for _ in range(2):
        check_batches(DataLoader(data, collate_fn=ZoomCollate(zoom), **options), zoom)


@pytest.mark.slow
@pytest.mark.parametrize("encoded", [False, True])
def test_in_spawned_workers(zoom, encoded):
    """Spawned workers deliver the same as forked ones."""
    data = [(encode(image, "PNG"), k) for k, image in enumerate(PICTURES)] if encoded else tensors()
    options = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": "spawn", "timeout": 200}
    check_batches(DataLoader(data, collate_fn=ZoomCollate(zoom), **options), zoom)


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


def test_forms_of_images(zoom):
    """Every form of image gives the same result, also mixed in one batch."""
    forms = image_forms(PICTURES[3])
    images, names = ZoomCollate(zoom)([(image, name) for name, image in forms.items()])

    assert names == list(forms)
    for image in images:
        check_close(image, zoom([torch.from_numpy(PICTURES[3].copy())]).images[0], 1e-4)


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


def test_which_entry_is_the_image(zoom):
    """The image is the first entry of a tuple, a usual name in a dict, or the entry that is named."""
    image = torch.from_numpy(PICTURES[0].copy())
    shape = (1, 3, 24, 32)

    assert ZoomCollate(zoom)([[image, 1]])[0].shape == shape
    assert ZoomCollate(zoom, image=1)([(1, image)])[1].shape == shape
    assert ZoomCollate(zoom)([{"cls": 1, "image": image}])["image"].shape == shape
    assert ZoomCollate(zoom)([{"png": encode(PICTURES[0], "PNG"), "cls": 1}])["png"].shape == shape
    assert ZoomCollate(zoom, image="photo")([{"image": 1, "photo": image}])["photo"].shape == shape


def test_the_grid_comes_along(zoom):
    """The batch has grid and sizes, with which boxes can be warped."""
    samples = [(image, torch.tensor([[0.0, 0, 30, 9]]).repeat(k, 1)) for image, k in tensors()]
    images, boxes, grid, size = ZoomCollate(zoom, with_grid=True)(samples)

    assert grid.shape == (11, 24, 32, 2)
    assert size.tolist() == [list(image.shape[:2]) for image in PICTURES]
    assert [len(each) for each in warp_boxes(boxes, grid, size)[0]] == list(range(len(images)))
    named = ZoomCollate(zoom, with_grid=True)([{"image": image, "k": k} for image, k in tensors()])
    assert list(named) == ["image", "k", "__grid__", "__size__"]
    assert torch.equal(named["__grid__"], grid)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        [1.5, 2.0],
        [np.float32(1), np.float32(2)],
        ["a", "b"],
        [b"a", b"b"],
        [torch.zeros(2, 3), torch.ones(2, 3)],
        [(1, "a"), (2, "b")],
        [{"a": 1, "b": np.zeros(2)}, {"a": 2, "b": np.ones(2)}],
    ],
)
def test_labels_are_joined_as_torch_does(values):
    """Labels have the types and values of torch's default_collate."""
    assert repr(join_labels(values)) == repr(default_collate(values))


@pytest.mark.parametrize(
    "values",
    [
        [None, None],
        [torch.zeros(2, 4), torch.zeros(3, 4)],
        [np.zeros((0, 4)), np.zeros((3, 4))],
        [[1, 2], [3]],
        [{"a": 1}, {"b": 2}],
        [object(), object()],
    ],
)
def test_what_torch_cannot_join_stays_a_list(values):
    """What default_collate refuses is a list of the same objects; in dicts, entry by entry."""
    joined = join_labels([{"ragged": value, "id": k} for k, value in enumerate(values)])

    assert join_labels(values) is values
    assert all(a is b for a, b in zip(joined["ragged"], values, strict=True))
    assert joined["id"].tolist() == [0, 1]


def test_training_in_this_process():
    """In this process the batch carries the graph."""
    zoom = SaliencySampler(16)
    images, _ = next(iter(DataLoader(tensors(), batch_size=9, collate_fn=ZoomCollate(zoom))))
    images.sum().backward()

    assert all(p.grad is not None for p in zoom.parameters())


NEEDS_GRADIENTS = (
    "zoom must not need gradients in a worker, got 10 parameters that do: the graph cannot leave the process – call "
    "zoom.requires_grad_(False), iterate under torch.no_grad(), or use num_workers=0 or ZoomLoader to train it."
)


@forks
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_training_in_a_worker_is_refused(context):
    """In a worker, a training zoom is refused unless gradients are disabled."""
    zoom = SaliencySampler(16)
    options = {"batch_size": 4, "num_workers": 1, "multiprocessing_context": context, "timeout": 200}
    loader = DataLoader(tensors(), collate_fn=ZoomCollate(zoom), **options)
    count = sum(1 for _ in zoom.parameters())

    with pytest.raises(ValueError, match=re.escape(NEEDS_GRADIENTS.replace("10", str(count)))):
        next(iter(loader))
    with torch.no_grad():
        check_batches(loader, zoom)


def test_it_pickles(zoom):
    """A pickled copy has all settings, and one that was made without gradients can still train."""
    with torch.no_grad():
        collate = pickle.loads(pickle.dumps(ZoomCollate(SaliencySampler(8), image=1, with_grid=True)))

    images, *_ = collate([(k, image) for image, k in tensors()])[1:]
    assert images.requires_grad
    assert (collate.image, collate.with_grid) == (1, True)


IMAGE = torch.zeros(4, 5, 3, dtype=torch.uint8)
PNG = encode(picture(0, 9, 9), "PNG")
UNLIKE = (
    "samples[1] must have the entries of the first, [0, 1], got [0] – give them common names, as webdataset's "
    "rename does."
)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], ValueError, "samples must be at least one, got []."),
        (
            [(IMAGE,), IMAGE],
            TypeError,
            "samples[1] must be a tuple or a dict, got Tensor – return (image,) for an image alone.",
        ),
        (
            [(IMAGE, 1), (IMAGE,)],
            ValueError,
            UNLIKE,
        ),
        ([{"photo": IMAGE}], ValueError, "image must be an entry of the samples, got None for ['photo']."),
        (
            [(IMAGE,), ("a.jpg",)],
            TypeError,
            "images[1] must be a tensor or array, a PIL image or an encoded file, got str.",
        ),
        (
            [(IMAGE,), (IMAGE.float() + 7,)],
            TypeError,
            ("images[1] must be a readable image, got one that needs a window: its samples lie in [7, 7], outside [0, 1] – "
            "pass window=(low, high) or 'auto'."),
        ),
        (
            [(IMAGE.numpy().astype(np.int32),)],
            TypeError,
            ("images[0] must be a readable image, got one that needs a window: its samples are int32, of which the header "
            "does not say what is white – pass window=(low, high) or 'auto'."),
        ),
        ([(IMAGE.to(torch.complex64),)], TypeError, "images[0] must hold numbers, got complex64."),
        (
            [(IMAGE,), (IMAGE[..., 0, 0],)],
            ValueError,
            "images[1] must be (height, width, 3) or (3, height, width), got shape (4,) – convert it to RGB, or pass bands.",
        ),
        (
            [(IMAGE[..., :2],)],
            ValueError,
            ("images[0] must be (height, width, 3) or (3, height, width), got shape (4, 5, 2) – convert it to RGB, or pass "
            "bands."),
        ),
        ([(IMAGE[:0],)], ValueError, "images[0] must have pixels, got shape (0, 5, 3)."),
        (
            [(IMAGE,)] * 9 + [(b"",)],
            ValueError,
            "images[9] must be a readable image, got one that is empty: 0 bytes.",
        ),
        (
            [(IMAGE,)] * 9 + [(PNG,), (PNG[:60],)],
            ValueError,
            "images[10] must be a readable image, got one that is ",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_joined(zoom, samples, error, message):
    """The error names the index in the batch."""
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ZoomCollate(zoom)(samples)


def test_jpegs_that_are_cut(zoom):
    """For a truncated JPEG, the error names the index in the whole batch, not that in the micro-batch."""
    cut = encode(picture(0, 400, 600), quality=95)[:9000]
    samples = [(IMAGE,), (encode(picture(0, 9, 9)),), (IMAGE,)]
    with pytest.raises(ValueError, match=r"^images\[3\] must be a readable image, got one that is cut: "):
        ZoomCollate(zoom)([*samples, (cut,)])
    message = r"^images\[3\] must be a readable image, got one that is cut: "
    with Image.open(io.BytesIO(cut)) as opened, pytest.raises(ValueError, match=message):
        ZoomCollate(zoom)([*samples, (opened,)])


def test_a_zoom_that_is_none():
    """Something that is not a zoom is refused at once."""
    message = "zoom must be a sampler module, got 224 – for example SaliencySampler(224)."
    with pytest.raises(TypeError, match=re.escape(message)):
        ZoomCollate(224)


def web_batches(shards, collate, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # webdataset leaves its files to the cycle collector
        batches = list(
            wds.WebLoader(wds.WebDataset(shards, shardshuffle=False), collate_fn=collate, **options)
        )
        gc.collect()
    return batches


@forks
@pytest.mark.parametrize("workers", [0, 2])
def test_inside_webdataset_as_in_the_loader(small_shards, zoom, workers):
    """Over the same shards, webdataset with ZoomCollate delivers ZoomLoader's images, and the other members."""
    fields = ("image", "__key__", "__grid__", "__size__")
    with ZoomLoader(small_shards, zoom, batch_size=13, fields=fields) as loader:
        ((images, keys, grid, size),) = list(loader)
    place = {key: k for k, key in enumerate(keys)}
    collate = ZoomCollate(zoom, with_grid=True)
    batches = web_batches(small_shards, collate, batch_size=4, num_workers=workers)

    assert sorted(key for batch in batches for key in batch["__key__"]) == keys
    for batch in batches:
        at = [place[key] for key in batch["__key__"]]
        assert {"jpg", "cls", "json", "__key__", "__url__", "__grid__", "__size__"} <= set(batch)
        assert batch["cls"] == [str(k).encode() for k in at]
        check_close(batch["jpg"], images[at], 1e-4)
        check_close(batch["__grid__"], grid[at], 1e-4)
        assert torch.equal(batch["__size__"], size[at])


def test_inside_webdataset_over_decoded_tuples(small_shards, zoom):
    """It works with webdataset's own decoding and batching, as in its tutorials."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        data = wds.WebDataset(small_shards, shardshuffle=False).decode("rgb8").to_tuple("jpg", "cls")
        batches = list(data.batched(5, collation_fn=ZoomCollate(zoom)))
        gc.collect()

    assert [tuple(images.shape) for images, _ in batches] == [(5, 3, 24, 32)] * 2 + [(3, 3, 24, 32)]
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12]]


def test_a_zoom_that_asks_for_boxes():
    """A zoom that needs boxes is refused when ZoomCollate is made."""
    message = (
        "zoom must look at images alone, got a SaliencySampler that asks for boxes from 'json:boxes', which a collate_fn "
        "does not read – use ZoomLoader."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ZoomCollate(SaliencySampler(8, saliency=BoxSaliency("json:boxes")))
