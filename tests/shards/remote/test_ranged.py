import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.shards.remote._ranged import RangedFile
from foveal.shards.remote._remote import ROUND_TRIP

CONTENT = bytes(range(256)) * 20_000  # 5.1 MB


class Recorded:
    """Reads from memory, and records the requested ranges."""

    def __init__(self, content=CONTENT):
        self.content, self.asked = content, []

    def read(self, offset, size):
        self.asked.append((offset, size))
        return self.content[offset : offset + size]


@given(
    st.lists(
        st.tuples(
            st.integers(-len(CONTENT), 2 * len(CONTENT)), st.sampled_from([0, 1, 2]), st.integers(-1, 200_000)
        ),
        max_size=12,
    )
)
def test_reads_as_a_file_does(steps):
    """Any seeks and reads give the same as on a file in memory."""
    ours, theirs = RangedFile(Recorded(), len(CONTENT)), io.BytesIO(CONTENT)
    for offset, whence, size in steps:
        base = (0, theirs.tell(), len(CONTENT))[whence]
        assert ours.seek(offset, whence) == theirs.seek(max(0, base + offset))
        assert ours.read(size) == theirs.read(size)
        assert ours.tell() == theirs.tell()


def test_skips_what_is_large_and_reads_over_what_is_small():
    """A long skip costs a request of 64 KiB; after short skips, requests grow."""
    far = Recorded(bytes(20 * ROUND_TRIP))
    file = RangedFile(far, len(far.content))
    for k in range(8):
        file.seek(k * 2 * ROUND_TRIP)
        file.read(512)
    assert far.asked == [(k * 2 * ROUND_TRIP, 1 << 16) for k in range(8)]

    near = Recorded(bytes(20 * ROUND_TRIP))
    file = RangedFile(near, len(near.content))
    for k in range(200):
        file.seek(k * 100_000)
        file.read(512)
    assert len(near.asked) < 12


@pytest.mark.parametrize("size", [0, 1])
def test_small_files_end(size):
    """Reading at the end returns nothing."""
    file = RangedFile(Recorded(), size)

    assert (file.read(), file.read(), file.seek(5), file.read(1)) == (CONTENT[:size], b"", 5, b"")
    assert file.seekable()
    assert file.readable()
