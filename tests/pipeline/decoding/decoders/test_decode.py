"""Decoding encoded images to pixels."""

import gc
import io
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foveal.pipeline import DecodeError, Decoder, decode, peek
from foveal.shards import Shards
from tests.pipeline.making import encode, picture


def pillow(encoded: bytes) -> np.ndarray:
    """Return the image as Pillow reads it, upright and in RGB."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB"))


def alpha_picture() -> Image.Image:
    pixels = picture(1, 43, 61)
    return Image.fromarray(np.dstack([pixels, picture(2, 43, 61)[..., 0]]), "RGBA")


@pytest.mark.parametrize("progressive", [False, True])
def test_inks_without_adobes_marker(progressive):
    """A CMYK photograph whose metadata was removed has the colours that it had, as for Pillow; DALI alone shows it black."""
    file = encode(Image.fromarray(picture(0, 90, 120)).convert("CMYK"), progressive=progressive)
    place = file.index(b"\xff\xee")
    plain = file[:place] + file[place + 2 + int.from_bytes(file[place + 2 : place + 4]) :]
    [marked, unmarked] = decode([file, plain])

    assert b"Adobe" not in plain
    assert torch.equal(marked, unmarked)
    assert marked.float().mean() > 50


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_jpeg_of_every_mode_arrives_as_rgb(mode):
    """Grey and CMYK photographs are decoded bit-identically to Pillow."""
    encoded = encode(Image.fromarray(picture(0, 43, 61)).convert(mode))

    assert np.array_equal(pillow(encoded), decode([encoded])[0].numpy())


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
        *(("TIFF", mode) for mode in ("L", "RGB", "RGBA")),
        *(("BMP", mode) for mode in ("L", "P", "RGB")),
    ],
)
def test_other_formats_arrive_as_rgb(kind, mode):
    """Palettes are looked up and alpha is dropped, as Pillow's convert("RGB") does."""
    source = Image.fromarray(picture(1, 43, 61)) if mode == "P" else alpha_picture()
    encoded = encode(source.convert(mode), kind, **({"lossless": True} if kind == "WEBP" else {}))

    assert np.array_equal(pillow(encoded), decode([encoded])[0].numpy())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    """All eight orientations arrive upright, sides swapped where they should be."""
    exif = Image.Exif()
    exif[0x112] = orientation
    encoded = encode(picture(0, 40, 64), exif=exif.tobytes())

    assert np.array_equal(pillow(encoded), decode([encoded])[0].numpy())


def test_nothing_to_decode():
    """Without files there are no images."""
    assert decode([]) == []


CUT = encode(picture(0, 400, 600), quality=95)[:9000]
DAMAGED = bytearray(encode(picture(0, 40, 60), "PNG"))
DAMAGED[-40] ^= 255  # in the compressed pixels
BAD = {
    "empty": (b"", "is empty: 0 bytes"),
    "junk": (b"no image at all", "is nothing that DALI or Pillow knows: it begins with b'no image at all'"),
    "cut": (CUT, "is cut: after 9000 bytes there is no end mark"),
    "damaged": (bytes(DAMAGED), "is broken: Pillow says"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_named(kind):
    """The error names the first bad image by its index."""
    good, (bad, reason) = encode(picture(0, 43, 61)), BAD[kind]

    with pytest.raises(DecodeError, match=re.escape(f"image 1 {reason}")):
        decode([good, bad, good])


@pytest.mark.parametrize("kinds", [("cut",), ("damaged",), ("damaged", "cut", "damaged"), ("damaged",) * 5])
def test_neighbours_of_a_bad_image_are_delivered(kinds):
    """Good images have their pixels, bad ones their reason, and the decoder can be used again."""
    files = [encode(picture(k, 43, 61)) for k in range(4)]
    for place, kind in enumerate(kinds):
        files.insert(2 * place, BAD[kind][0])
    with Decoder() as decoder:
        for _ in range(2):
            images = decoder.start([peek(file) for file in files]).result()

            assert sum(isinstance(image, DecodeError) for image in images) == len(kinds)
            for place, (file, image) in enumerate(zip(files, images, strict=True)):
                if isinstance(image, DecodeError):
                    assert image.reason.startswith(BAD[kinds[place // 2]][1])
                else:
                    assert np.array_equal(pillow(file), image.numpy())


def test_neighbours_are_not_decoded_one_by_one(monkeypatch):
    """One bad image of eight costs one more batch; one that looks truncated costs none."""
    launched = []
    launch = Decoder.launch
    monkeypatch.setattr(
        Decoder,
        "launch",
        lambda self, files, *, deep: launched.append(len(files)) or launch(self, files, deep=deep),
    )
    good = [peek(encode(picture(k, 43, 61))) for k in range(7)]
    with Decoder() as decoder:
        decoder.start([*good, peek(BAD["damaged"][0])]).result()
        assert launched == [8, 7]
        launched.clear()
        decoder.start([*good, peek(CUT)]).result()
        assert launched == [7, 1]


def test_an_error_without_a_name(monkeypatch):
    """If DALI does not name the bad image, it is found by bisection."""
    from foveal.pipeline.decoding.decoders import _decoding as _decode

    assert _decode._without_culprit([3, 5, 7], RuntimeError("no idea")) == [[3], [5, 7]]
    assert _decode._without_culprit([3], RuntimeError("no idea")) == []
    assert _decode._without_culprit([3, 5, 7], RuntimeError("sample #1 : ")) == [[3, 7]]


def test_pillow_takes_over():
    """Pillow decodes and counts the images that DALI cannot read."""
    files = [
        encode(picture(0, 43, 61)),
        encode(picture(1, 30, 20), "GIF"),
        encode(alpha_picture().convert("LA"), "TIFF"),
    ]
    with Decoder() as decoder:
        decoding = decoder.start([peek(file) for file in files])
        images = decoding.result()

    assert decoding.by_pillow == 1
    assert all(np.array_equal(pillow(f), image.numpy()) for f, image in zip(files, images, strict=True))


def test_an_error_that_nobody_waits_for():
    """A bad image that is being decoded while the decoder closes does no harm."""
    with Decoder() as decoder:
        decoder.start([peek(CUT)])
        decoder.start([peek(CUT), peek(bytes(DAMAGED))]).drain()


def test_a_decoder_is_entered_first():
    """The error says that the decoder must be used in a ``with`` block."""
    with pytest.raises(
        ValueError,
        match=re.escape(
            "decoder must be entered before use, got a closed one – write `with Decoder() as decoder:`"
        ),
    ):
        Decoder().start([peek(CUT)])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"device": "cuda"}, ValueError, "device must be 'cpu', as torch finds no CUDA here, got 'cuda'."),
        ({"device": "gpu"}, ValueError, "device must be 'cpu' or 'cuda', such as 'cuda:1', got 'gpu'."),
        ({"num_threads": 0}, ValueError, "num_threads must be at least 1, got 0."),
        ({"num_threads": -1}, ValueError, "num_threads must be at least 1, got -1."),
        ({"num_threads": True}, TypeError, "num_threads must be a whole number, got True."),
    ],
)
@pytest.mark.parametrize("make", [Decoder, lambda *args, **options: decode([], *args, **options)])
def test_a_device_or_threads_that_cannot_be(make, options, kind, message):
    """A device that is not there, and a number of threads that cannot be, are refused as a loader refuses them."""
    without = mock.patch.object(torch.cuda, "is_available", return_value=False)
    with without, pytest.raises(kind, match=f"^{re.escape(message)}$"):
        make(**options)


def dali_leftovers(use) -> int:
    """Return how many of DALI's batches and tensors outlive a decoding if the cycle collector is off."""

    def count() -> int:
        kinds = {"Batch", "Tensor", "Invocation", "TensorListCPU", "TensorCPU"}
        return sum(
            type(o).__name__ in kinds and type(o).__module__.startswith("nvidia") for o in gc.get_objects()
        )

    files = [peek(encode(picture(k, 50, 60))) for k in range(3)]
    with Decoder() as decoder:
        decoder.start(files).result()  # what DALI keeps for good, it makes now
        gc.collect()
        gc.disable()
        try:
            before = count()
            use(decoder, files)
            return count() - before
        finally:
            gc.enable()


def test_no_cycle_keeps_decoded_images():
    """Pixels are freed with their last tensor, without the cycle collector."""
    assert dali_leftovers(lambda decoder, files: decoder.start(files).result()) == 0


def test_the_check_for_cycles_finds_them():
    """DALI's own way to take a batch apart leaves reference cycles, and the check finds them."""
    import nvidia.dali.experimental.dynamic as ndd

    def take_apart(decoder, files):
        with ndd.EvalMode.deferred:
            for tensor in decoder.launch([image.file for image in files], deep=False).tensors:
                tensor.evaluate()

    assert dali_leftovers(take_apart) > 0


def test_equal_to_a_plain_dali_pipeline(data_dir):
    """All photographs are bit-identical to what `fn.decoders.image` decodes."""
    from nvidia.dali import fn, pipeline_def

    with Shards(str(data_dir / "photos" / "*.tar")) as shards:
        files = [shards[k].members["jpg"] for k in range(len(shards))]

    @pipeline_def(batch_size=1, num_threads=2, device_id=None)
    def plain():
        return fn.decoders.image(
            fn.external_source(source=iter([[np.frombuffer(f, np.uint8)] for f in files]), batch=True)
        )

    pipe = plain()
    pipe.build()
    for file in files:
        assert np.array_equal(np.asarray(pipe.run()[0].at(0)), decode([file])[0].numpy())


@pytest.mark.gpu
def test_gpu_agrees_with_cpu():
    """nvJPEG and libjpeg-turbo differ by rounding and chroma upsampling only."""
    encoded = encode(picture(0, 480, 640), quality=95)
    cpu, gpu = decode([encoded])[0], decode([encoded], device="cuda")[0]

    assert gpu.device.type == "cuda"
    assert (cpu.float() - gpu.cpu().float()).abs().mean() < 1.0
    assert torch.equal(torch.tensor(cpu.shape), torch.tensor(gpu.shape))


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_files_in_memory_of_other_kinds(kind):
    """A file may be a bytearray or a memoryview, and is left as it is."""
    file = encode(picture(0, 20, 30))
    given = kind(file)

    assert torch.equal(decode([given])[0], decode([file])[0])
    assert bytes(given) == file


@pytest.mark.parametrize("given", [b"abc", bytearray(b"abc"), memoryview(b"abc"), b""])
def test_a_file_in_the_place_of_a_list(given):
    """One file that is not in a list is refused with what to write, also an empty one."""
    message = f"encoded must be a list of image files, got one file as {type(given).__name__} – write decode([file])."
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        decode(given)


@pytest.mark.parametrize(("given", "name"), [(["a.jpg"], "str"), ([Path("a.jpg")], "PosixPath")])
def test_what_is_no_file(given, name):
    """Names of files in the place of their bytes are refused with what to do."""
    message = f"encoded[0] must be the bytes of an image file, got {name} – read the file first."
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        decode(given)
