"""Encoded images to pixels."""

import gc
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from foveal.pipeline import DecodeError, Decoder, decode
from foveal.shards import Shards
from tests.pipeline.conftest import encode, picture


def pillow(encoded: bytes) -> np.ndarray:
    """What Pillow sees, upright and in RGB."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB"))


def alpha_picture() -> Image.Image:
    pixels = picture(1, 43, 61)
    return Image.fromarray(np.dstack([pixels, picture(2, 43, 61)[..., 0]]), "RGBA")


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_jpeg_of_every_mode_arrives_as_rgb(mode):
    """Grey and CMYK photographs are what Pillow makes of them, to the bit."""
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
    """No files, no images."""
    assert decode([]) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "it is empty (0 bytes)"),
        (b"no image at all", "DALI says \"nvImageCodec failure: '#4'\""),
        (encode(picture(0, 400, 600), quality=95)[:9000], "DALI says 'Failed to decode sample #0'"),
    ],
    ids=["empty", "junk", "truncated"],
)
def test_a_bad_image_is_named(bad, reason):
    """The first bad one of a batch is named by its place, and the decoder goes on working."""
    good = encode(picture(0, 43, 61))
    with Decoder() as decoder:
        with pytest.raises(DecodeError, match=re.escape(f"image 1 cannot be decoded: {reason}")):
            decoder.start([good, bad, good]).result()

        assert np.array_equal(pillow(good), decoder.start([good]).result()[0].numpy())


def test_an_error_that_nobody_waits_for():
    """A bad image in flight when the decoder closes harms nothing."""
    with Decoder() as decoder:
        decoder.start([b"no image at all"])
        decoder.start([b"neither"]).drain()


def test_a_decoder_is_entered_first():
    """The message says how."""
    with pytest.raises(
        ValueError,
        match=re.escape(
            "decoder must be entered before use, got a closed one – write `with Decoder() as decoder:`"
        ),
    ):
        Decoder().start([b"x"])


def dali_leftovers(use) -> int:
    """How many of DALI's batches and tensors outlive a decoding without the cycle collector's help."""

    def count() -> int:
        kinds = {"Batch", "Tensor", "Invocation", "TensorListCPU", "TensorCPU"}
        return sum(
            type(o).__name__ in kinds and type(o).__module__.startswith("nvidia") for o in gc.get_objects()
        )

    files = [encode(picture(k, 50, 60)) for k in range(3)]
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
    """Pixels are freed with their last tensor, not when Python's cycle collector happens to run."""
    assert dali_leftovers(lambda decoder, files: decoder.start(files).result()) == 0


def test_the_check_for_cycles_finds_them():
    """DALI's own way to take a batch apart leaves cycles where it comes before the pixels, and the check sees them."""
    import nvidia.dali.experimental.dynamic as ndd

    def take_apart(decoder, files):
        with ndd.EvalMode.deferred:
            for tensor in decoder._launch(files).tensors:
                tensor.evaluate()

    assert dali_leftovers(take_apart) > 0


def test_equal_to_a_plain_dali_pipeline(data_dir):
    """Bit for bit on all photographs, as `fn.decoders.image` decodes them."""
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
    with Decoder() as decoder:
        for file in files:
            expected = np.asarray(pipe.run()[0].at(0))
            assert np.array_equal(expected, decoder.start([file]).result()[0].numpy())


@pytest.mark.gpu
def test_gpu_agrees_with_cpu():
    """nvJPEG and libjpeg-turbo may differ by rounding and chroma upsampling, no more."""
    encoded = encode(picture(0, 480, 640), quality=95)
    cpu, gpu = decode([encoded])[0], decode([encoded], device="cuda")[0]

    assert gpu.device.type == "cuda"
    assert (cpu.float() - gpu.cpu().float()).abs().mean() < 1.0
    assert torch.equal(torch.tensor(cpu.shape), torch.tensor(gpu.shape))
