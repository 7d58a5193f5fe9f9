"""DICOM by pydicom and pylibjpeg: the first frame, with the units and the window that the file states."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.pipeline.decoding.formats._samples import Range, RefusedError, Samples, as_bands, white_of

_STEP = 1e-6


def dicom_size(file: bytes) -> tuple[int, int, int, int]:
    """Return height, width, bytes of a pixel and bits of a sample of a DICOM file.

    Raises:
        ValueError: It has no pixels.
    """
    data = _dataset(file, stop_before_pixels=True)
    if not data.get("Rows") or not data.get("Columns"):
        raise ValueError("it has no pixels")
    pixel_bytes = int(data.get("SamplesPerPixel", 1)) * -(-int(data.BitsAllocated) // 8)
    return int(data.Rows), int(data.Columns), pixel_bytes, int(data.BitsAllocated)


def dicom_profile(file: bytes) -> bytes:
    """Return the colour profile of a DICOM file; empty if it has none."""
    data = _dataset(file, stop_before_pixels=True)
    return bytes(data.get("ICCProfile") or b"")


def read_dicom(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode the first frame of a DICOM file, as it is stored."""
    return _read(_dataset(file), bands)


def read_shown_dicom(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode the first frame of a DICOM file, and apply the file's lookup table or curve if it has more than a plain window."""
    data = _dataset(file)
    samples = _read(data, bands)
    units = samples.values * samples.slope + samples.intercept
    if samples.window is not None and _voi(data, "VOILUTFunction") == "SIGMOID":
        (low, high), values = samples.window, units
        light = 1 / (1 + np.exp(-4 * ((values - low) / (high - low) - 0.5)))
        return Samples(light, white=1.0, zero_is_white=samples.zero_is_white)
    if samples.window is None and data.get("VOILUTSequence"):
        values, white = _looked_up(np.rint(units).astype(np.int64), data.VOILUTSequence[0], data)
        return Samples(values, white=white, zero_is_white=samples.zero_is_white)
    return samples


def _read(data: Any, bands: tuple[int, ...] | None) -> Samples:
    from pydicom.pixels import apply_color_lut, pixel_array  # noqa: PLC0415 - an extra

    bits = data.get("BitsStored")
    if bits is not None and data.get("HighBit", bits - 1) != bits - 1:
        raise ValueError(f"its samples of {bits} bits end at bit {data.HighBit} of {data.BitsAllocated}")
    values: NDArray[Any] = pixel_array(data, index=0)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        values, bits = apply_color_lut(values, data), data.RedPaletteColorLookupTableDescriptor[2]
    if values.ndim == 3:
        return Samples(as_bands(values, bands), white=white_of(values, bits))
    if bands is not None:
        raise RefusedError(f"has 1 band, counted from 0, and bands={bands} asks for {max(bands)}")
    return _grey(values[..., None], white_of(values, bits), data)


def _grey(values: NDArray[Any], white: float | None, data: Any) -> Samples:
    slope, intercept = (_unit(data, name) for name in ("RescaleSlope", "RescaleIntercept"))
    nodata = data.get("PixelPaddingValue")
    if data.get("ModalityLUTSequence"):
        values, white = _looked_up(values, data.ModalityLUTSequence[0], data)
        slope, intercept, nodata = None, None, None
    return Samples(
        values,
        white=white,
        zero_is_white=_is_inverted(data),
        window=_window(data),
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        nodata=None if nodata is None else float(nodata),
    )


def _looked_up(values: NDArray[Any], table: Any, data: Any) -> tuple[NDArray[Any], float]:
    """Apply a lookup table to values; return the result and its white value (PS3.3 C.11.1.1).

    Entries of 8 bits may be stored in 16 bits each; pydicom reads such an entry as two.
    """
    count, first, bits = table.LUTDescriptor
    count = count or 1 << 16
    entries: Any = table.LUTData
    if isinstance(entries, bytes):
        order = ">" if data.original_encoding[1] is False else "<"
        entries = np.frombuffer(entries, np.uint8 if len(entries) < 2 * count else f"{order}u2")
    first = first - (1 << 16) if first > 1 << 15 and values.dtype.kind == "i" else first
    places = (values.astype(np.int64) - first).clip(0, count - 1)
    return np.asarray(entries, np.uint16)[places], float(2**bits - 1)


def _is_inverted(data: Any) -> bool:
    shape = data.get("PresentationLUTShape")
    return bool(shape == "INVERSE" if shape else data.PhotometricInterpretation == "MONOCHROME1")


def _window(data: Any) -> Range | None:
    """Return the first window of a file, from black to white (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = (_first(_voi(data, name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not np.isfinite([centre, width]).all():
        return None
    if (_voi(data, "VOILUTFunction") or "LINEAR") == "LINEAR":
        centre, width = centre - 0.5, width - 1
    width = width or _STEP  # with width 1, values up to the centre are black, and larger ones white
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def _unit(data: Any, name: str) -> float | None:
    return _first(_of_first_frame(data, name, "PixelValueTransformationSequence"))


def _voi(data: Any, name: str) -> Any:
    return _of_first_frame(data, name, "FrameVOILUTSequence")


def _of_first_frame(data: Any, name: str, group: str) -> Any:
    """Return a tag of the file; for enhanced files, of the functional group of its first frame or of all frames."""
    if data.get(name) is not None:
        return data.get(name)
    for functions in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        frames = data.get(functions)
        items = frames[0].get(group) if frames else None
        if items and items[0].get(name) is not None:
            return items[0].get(name)
    return None


def _first(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value):
        return None
    values = list(value) if hasattr(value, "__iter__") else [value]
    return float(values[0]) if values else None


def _dataset(file: bytes, **options: Any) -> Any:
    from pydicom import dcmread  # noqa: PLC0415 - an extra

    return dcmread(io.BytesIO(file), **options)
