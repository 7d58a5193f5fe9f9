"""BMPs that say by masks where the colours are in a pixel."""

import struct

import numpy as np
import pytest

from foveal.pipeline import DecodeError, decode, peek
from tests.pipeline.making import picture

BLUE_FIRST, RED_FIRST = (0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)


def masked(levels: np.ndarray, bits: int, masks: tuple[int, ...], header: int = 40) -> bytes:
    """Pack levels of 0 to 255 into pixels of so many bits; a row of them is a multiple of four bytes."""
    packed = np.zeros(levels.shape[:2], np.uint32)
    for band, mask in enumerate(masks[:3]):
        white, place = mask.bit_count(), (mask & -mask).bit_length() - 1
        packed |= np.rint(levels[..., band] / 255 * (2**white - 1)).astype(np.uint32) << place
    pixels = packed[::-1].astype(f"<u{bits // 8}").tobytes()
    height, width = packed.shape
    fields = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, 3, len(pixels), 0, 0, 0, 0)
    after = struct.pack(f"<{len(masks)}I", *masks).ljust(max(12, header - 40), b"\0")
    start = 14 + len(fields) + len(after)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + fields + after + pixels


@pytest.mark.parametrize(
    ("bits", "masks", "header"),
    [
        (16, (0xF800, 0x7E0, 0x1F), 40),
        (16, (0x7C00, 0x3E0, 0x1F), 40),
        (32, BLUE_FIRST, 40),
        (32, (*BLUE_FIRST, 0xFF000000), 124),
    ],
)
def test_white_is_white(bits, masks, header):
    """Each colour from 0 to all bits of its mask becomes 0 to 255."""
    levels = np.array(picture(0, 40, 60))
    levels[:8, :8], levels[8:16, :8] = 255, 0
    [found] = decode([masked(levels, bits, masks, header)])
    steps = 255 / np.array([2 ** mask.bit_count() - 1 for mask in masks[:3]])

    assert peek(masked(levels, bits, masks, header)).by == "pillow"
    assert (np.abs(found.numpy() - levels.astype(float)) <= steps / 2 + 1).all()
    assert found[:8, :8].min() == 255
    assert found[8:16, :8].max() == 0


@pytest.mark.parametrize("masks", [RED_FIRST, (0x3FF00000, 0xFFC00, 0x3FF)])
def test_other_masks_are_refused(masks):
    """DALI would read these as blue, green, red of 8 bits each."""
    with pytest.raises(DecodeError, match="Unsupported BMP bitfields layout"):
        decode([masked(picture(0, 40, 60), 32, masks)])
