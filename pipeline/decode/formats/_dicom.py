"""DICOM by pydicom and pylibjpeg: the first frame, with the units and the window that the file states."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.pipeline.decode.formats._samples import Range, Samples, as_bands, white_of


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


def read_dicom(file: bytes, bands: tuple[int, ...] | None) -> Samples:
    """Decode the first frame of a DICOM file."""
    from pydicom.pixels import apply_color_lut, pixel_array  # noqa: PLC0415 - an extra

    data = _dataset(file)
    values: NDArray[Any] = pixel_array(data, index=0)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, data)
    if values.ndim == 3:
        return Samples(as_bands(values, bands), white=white_of(values, _bits(data, values)))
    if bands is not None:
        raise ValueError(f"has 1 band, counted from 0, and bands={bands} asks for {max(bands)}")
    return _grey(values, data)


def _grey(values: NDArray[Any], data: Any) -> Samples:
    from pydicom.pixels import apply_modality_lut, apply_voi  # noqa: PLC0415 - an extra

    slope, intercept = float(data.get("RescaleSlope", 1) or 1), float(data.get("RescaleIntercept", 0) or 0)
    white = white_of(values, _bits(data, values))
    if "ModalityLUTSequence" in data:
        values, slope, intercept = apply_modality_lut(values, data), 1.0, 0.0
        white = float(2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    window = _window(data)
    if window is None and "VOILUTSequence" in data and data.VOILUTSequence and slope == 1 and intercept == 0:
        values = apply_voi(values, data)
        white = float(2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    return Samples(
        values[..., None],
        white=white,
        zero_is_white=_is_inverted(data),
        window=window,
        slope=slope,
        intercept=intercept,
    )


def _is_inverted(data: Any) -> bool:
    shape = data.get("PresentationLUTShape")
    return bool(shape == "INVERSE" if shape else data.PhotometricInterpretation == "MONOCHROME1")


def _window(data: Any) -> Range | None:
    """Return the first window of a file, from black to white (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = (_first(data.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not np.isfinite([centre, width]).all():
        return None
    if data.get("VOILUTFunction", "LINEAR") == "LINEAR":
        centre, width = centre - 0.5, width - 1
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def _first(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value):
        return None
    values = list(value) if hasattr(value, "__iter__") else [value]
    return float(values[0]) if values else None


def _bits(data: Any, values: NDArray[Any]) -> int:
    return int(data.get("BitsStored", 8 * values.dtype.itemsize))


def _dataset(file: bytes, **options: Any) -> Any:
    from pydicom import dcmread  # noqa: PLC0415 - an extra

    return dcmread(io.BytesIO(file), **options)
