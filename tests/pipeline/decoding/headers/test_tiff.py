"""Headers of TIFFs, as far as they lead."""

import struct

import pytest

from foveal.pipeline import DecodeError, PixelRule, peek
from foveal.pipeline.decoding.headers import read_tiff_header, tiff_profile

PLACES = [8, 64, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def bigtiff(directory, values):
    """One entry, of whose values, a colour profile of 4000 bytes, it says where they lie."""
    entry = struct.pack("<HHQQ", 34675, 7, 4000, values)
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, directory) + struct.pack("<Q", 1) + entry + bytes(8)


@pytest.mark.parametrize("directory", [16, *PLACES])
@pytest.mark.parametrize("values", PLACES)
def test_a_place_beyond_the_file(directory, values):
    """Of up to 64 bits: the header is invalid, the profile is missing, and the file is refused."""
    file = bigtiff(directory, values)

    assert read_tiff_header(file) is None
    assert (tiff_profile(file) or b"") in file
    for rule in (PixelRule(), PixelRule(color="srgb")):
        with pytest.raises(DecodeError):
            peek(file, rule=rule)
