"""TIFF by tifffile and imagecodecs: the first image, segment by segment, and only the bands that are needed."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.pipeline.decoding.formats._samples import RefusedError, Samples, chosen_bands, white_of
from foveal.pipeline.decoding.headers import TiffHeader, read_tiff_header

_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
# Compressions whose codecs return RGB whatever the header says.
_OWN_COLOUR = (6, 7, 33003, 33005, 34712, 50001)


def read_tiff(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode a TIFF's first image.

    Raises:
        RefusedError: Its colours are of a kind that Foveal does not read.
        ValueError: It is damaged.
    """
    from tifffile import TiffFile  # noqa: PLC0415 - an extra

    header = read_tiff_header(file)
    if header is None:
        raise ValueError("its first directory makes no sense")
    photometric = _photometric(header)
    with TiffFile(io.BytesIO(file)) as tiff:
        page: Any = tiff.pages.first
        _check_whole(page, len(file))
        if photometric == _PALETTE:
            values = _looked_up(_read(page, (0,))[..., 0], page.colormap, bands)
            # If Pillow reads such a file, the file and its window have 8 bits.
            return Samples(values, white=white_of(values), slope=1 / 257 if header.depth <= 8 else 1.0)
        wanted = (0, 1, 2, 3) if photometric == _CMYK else chosen_bands(header.bands, bands)
        values = _read(page, wanted)
        if values.dtype.kind not in "biuf":
            raise RefusedError(f"has samples of the type {values.dtype}")
        if photometric == _CMYK and bands is not None:
            raise RefusedError(f"is CMYK, of which bands={bands} cannot be taken")
        return Samples(
            values,
            white=white_of(values, header.depth),
            zero_is_white=photometric == _WHITE_IS_ZERO,
            slope=255 / (2**header.depth - 1)
            if header.depth < 8
            else 1.0,  # scaled as by Pillow and by readers of PNG
            nodata=header.nodata,
            cmyk=photometric == _CMYK,
        )


def _photometric(header: TiffHeader) -> int:
    kind = header.photometric
    if kind in (_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE):
        return kind
    if kind == _CMYK and header.bands >= 4 and header.inks == 1:
        return kind
    if kind == _YCBCR and header.compression in _OWN_COLOUR:
        return _RGB
    if kind < 0:  # not stated
        return _RGB if header.bands >= 3 else _GREY
    raise RefusedError(f"has a photometric interpretation that is not read: {kind} of {header.samples}")


def _check_whole(page: Any, size: int) -> None:
    """Raise if segments reach beyond the file, because tifffile would fill them with zeros."""
    end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
    if end > size and (page.is_tiled or page.compression != 1):
        raise ValueError(f"it is cut: {size} bytes, and its pixels end after {end}")


def _read(page: Any, wanted: tuple[int, ...]) -> NDArray[Any]:
    """Return (height, width, bands) of a page; missing segments have its fill value."""
    if page.imagedepth != 1 or page.dtype is None:
        raise ValueError(
            f"its pixels are of a kind that tifffile does not read: {page.dtype}, depth {page.imagedepth}"
        )
    height, width = page.imagelength, page.imagewidth
    values = np.full((height, width, len(wanted)), page.nodata or 0, page.dtype)
    contiguous = page.planarconfig == 1 or page.samplesperpixel == 1
    for data, (plane, depth, top, left, _), _ in page.segments(maxworkers=1):
        if data is None or depth:
            continue
        inside = data[0, : height - top, : width - left]
        place = np.s_[top : top + inside.shape[0], left : left + inside.shape[1]]
        if contiguous:
            values[place] = inside[..., list(wanted)]
        for k in [k for k, band in enumerate(wanted) if band == plane and not contiguous]:
            values[place][..., k] = inside[..., 0]
    return values


def _looked_up(
    indices: NDArray[Any], colormap: NDArray[Any] | None, bands: tuple[int, ...] | None
) -> NDArray[Any]:
    if colormap is None:
        raise ValueError("it has a palette without colours")
    table = np.ascontiguousarray(colormap.T.astype(np.uint16))
    if table.max(initial=0) < 256:  # written by programs that store the entries as bytes
        table *= np.uint16(257)
    colours: NDArray[Any] = table[indices][..., list(chosen_bands(3, bands))]
    return colours
