"""TIFF by nvImageCodec, which comes with DALI. It is used if tifffile is not installed, for the layouts that it decodes right."""

import functools
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from foveal.pipeline.decoding.formats._samples import Samples, as_bands, white_of
from foveal.pipeline.decoding.headers import read_tiff_header


def read_plain_tiff(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode a TIFF's first image: its first three bands, or its first as grey.

    Raises:
        ValueError: It cannot be decoded.
    """
    header = read_tiff_header(file)
    if header is None:
        raise ValueError("its first directory makes no sense")
    decoder, options = _decoder()
    image = decoder.decode(file, params=options)
    if image is None:
        raise ValueError("it cannot be decoded")
    values = np.asarray(image.cpu())
    is_grey = header.bands < 3 and header.photometric in (0, 1)
    chosen = as_bands(values[..., :1] if is_grey else values, bands)
    return Samples(chosen, white=white_of(values), nodata=header.nodata)


@functools.cache
def _decoder() -> tuple[Any, Any]:
    """Return a CPU decoder that uses libtiff only, and its options: RGB of the stored depth.

    For a damaged file nvImageCodec would otherwise fall back to OpenCV, which returns the part that it could read and
    leaves the rest black.
    """
    found = importlib.util.find_spec("nvidia.nvimgcodec")
    libraries = Path(str(found and found.origin)).with_name("extensions").glob("libtiff_ext.so*")
    with tempfile.TemporaryDirectory() as folder:
        for library in libraries:
            (Path(folder) / library.name).symlink_to(library)
        os.environ["NVIMGCODEC_EXTENSIONS_PATH"] = folder
        from nvidia import nvimgcodec  # noqa: PLC0415 - it loads what it finds there

        only_cpu = nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)
        decoder = nvimgcodec.Decoder(
            device_id=nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY, max_num_cpu_threads=1, backends=[only_cpu]
        )
    options = nvimgcodec.DecodeParams(
        color_spec=nvimgcodec.ColorSpec.SRGB, allow_any_depth=True, apply_exif_orientation=False
    )
    return decoder, options
