"""Formats that are arrays with a header: PNM and npy. NumPy reads them."""

import io
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding.formats import RefusedError, Samples, as_bands, white_of
from foveal.pipeline.decoding.headers import pnm_fields


@dataclass(frozen=True, slots=True)
class PnmHeader:
    """The header of a PGM, PPM or PFM.

    Attributes:
        height: Pixels.
        width: Pixels.
        bands: 1 or 3.
        integer: Whether its numbers are integers; False for a PFM.
        white: The largest value; 1 for a PFM.
        little_endian: The byte order of a PFM.
        start: Where the pixels begin.
        decimal: Whether its numbers are written as decimal text.
    """

    height: int
    width: int
    bands: int
    integer: bool
    white: float
    little_endian: bool
    start: int
    decimal: bool


def pnm_header(file: bytes) -> PnmHeader | None:
    """Return the header of a PGM, PPM or PFM; None for other files."""
    words = pnm_fields(file)
    (kind, _), *fields = [next(words, (b"", 0)) for _ in range(4)]
    try:
        (width, height), white = (int(word) for word, _ in fields[:2]), float(fields[2][0])
    except ValueError:
        return None
    decimal = kind in (b"P2", b"P3")
    integer = decimal or kind in (b"P5", b"P6")
    sensible = 0 < white < 65536 and white == int(white) if integer else math.isfinite(white) and white != 0
    if not sensible or not (integer or kind in (b"PF", b"Pf")) or min(height, width) < 1:
        return None
    bands = 3 if kind in (b"P3", b"P6", b"PF") else 1
    start = fields[2][1] + 1
    return PnmHeader(height, width, bands, integer, white if integer else 1.0, white < 0, start, decimal)


def read_pnm(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode a PGM, PPM or PFM.

    Raises:
        DecodeError: It is cut, or has not these bands.
    """
    header = pnm_header(file)
    if header is None:
        raise DecodeError("is broken: its header makes no sense")
    kind = (
        ("u1" if header.white < 256 else ">u2")
        if header.integer
        else ("<f4" if header.little_endian else ">f4")
    )
    dtype = np.dtype(kind)
    shape = (header.height, header.width, header.bands)
    read = (
        _decimals(file, header.start, math.prod(shape))
        if header.decimal
        else _numbers(file, dtype, header.start, math.prod(shape))
    )
    values = read.reshape(shape)
    if not header.integer:  # its first row is the bottom row
        values = values[::-1]
    return _samples(values, bands, header.white)


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """The layout of a NumPy file.

    Attributes:
        shape: (height, width) or (height, width, bands), even if the file has bands first.
        dtype: The type of the numbers.
        start: The byte at which they begin.
        stored: The shape in the file.
        by_columns: Whether they are in Fortran's order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    stored: tuple[int, ...]
    by_columns: bool


def npy_header(file: bytes) -> NpyHeader | None:
    """Return the layout of a NumPy file; None if it does not hold an image of numbers."""
    stream = io.BytesIO(file)
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        stored, by_columns, dtype = read(stream)
    except Exception:  # noqa: BLE001 - NumPy parses the header as Python, and raises what its tokenizer does, too
        return None
    if dtype.kind not in "biuf" or len(stored) not in (2, 3) or min(stored) <= 0:
        return None
    shape = (*stored[1:], stored[0]) if has_bands_first(stored) else stored
    return NpyHeader(shape, dtype, stream.tell(), stored, by_columns)


def read_npy(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode an array (height, width), (height, width, bands) or (bands, height, width): see :func:`has_bands_first`.

    Raises:
        DecodeError: It is cut, or has not these bands.
    """
    header = npy_header(file)
    if header is None:
        raise DecodeError("is broken: its header makes no sense")
    flat = _numbers(file, header.dtype, header.start, math.prod(header.stored))
    values = flat.reshape(header.stored, order="F" if header.by_columns else "C")
    if header.shape != header.stored:
        values = values.transpose(1, 2, 0)
    return _samples(values, bands, white_of(values))


def has_bands_first(shape: tuple[int, ...]) -> bool:
    """Return whether an array is (bands, height, width) rather than (height, width, bands) or (height, width).

    An axis of up to four is the bands. With more, two equal sides are rows and columns, and bands that come last are
    fewer than either.

    Raises:
        DecodeError: It could be either.
    """
    if len(shape) != 3 or shape[2] <= 4:
        return False
    first, middle, last = shape
    if first <= 4 or (middle == last != first):
        return True
    if first == middle or last < min(first, middle):
        return False
    raise DecodeError(
        f"may have its bands first or last, its shape being {shape} – store it with fewer bands than rows and columns, as "
        "(height, width, bands)",
        kind="unsupported",
    )


def _decimals(file: bytes, start: int, count: int) -> NDArray[Any]:
    """Return this many numbers that are written as decimal text, without the comments between them.

    Raises:
        DecodeError: There are fewer numbers, or something else.
    """
    words = re.sub(rb"#[^\r\n]*", b"", file[start:])
    if strange := words.translate(None, b"0123456789 \t\r\n\v\f"):
        raise DecodeError(f"is broken: {strange[:16]!r} is no number")
    values = np.fromstring(words.decode("ascii"), np.int64, sep=" ")
    if len(values) < count:
        raise DecodeError(f"is cut: it has {len(values)} numbers, and its header says {count}")
    return values[:count].clip(0, 65535).astype(np.uint16)


def _numbers(file: bytes, dtype: np.dtype[Any], start: int, count: int) -> NDArray[Any]:
    """Return this many numbers of a file. They are only copied if their byte order is not the machine's.

    Raises:
        DecodeError: There are fewer.
    """
    end = start + count * dtype.itemsize
    if len(file) < end:
        raise DecodeError(f"is cut: {len(file)} bytes, and its header says {end}")
    return np.frombuffer(file, dtype, count, start).astype(dtype.newbyteorder("="), copy=False)


def _samples(values: NDArray[Any], bands: tuple[int, ...] | None, white: float | None) -> Samples:
    try:
        return Samples(np.ascontiguousarray(as_bands(values, bands)), white=white)
    except RefusedError as error:
        raise DecodeError(str(error), kind="unsupported") from error
