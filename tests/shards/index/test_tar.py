import io
import re
import tarfile
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.shards import ShardError
from foveal.shards.index._tar import Cut, group, walk
from tests.shards.reading import FORMATS, samples, stream_by_webdataset, tar_bytes

# few letters, so that keys and extensions meet; all that splits names; meta names by chance and by intent
names = st.one_of(
    st.text("ab.", min_size=1, max_size=5),
    st.text("aB._ é/\n日", min_size=1, max_size=9),
    st.sampled_from(
        ["__meta__.json", "__m__/a.jpg", "d/__m__.a", "d.e/a.jpg", "d/.hid.jpg", "a.tar.gz", "README"]
    ),
)
contents = st.one_of(st.binary(max_size=3), st.integers(0, 1500).map(bytes), st.none(), st.just("target"))


def groups(data):
    """What we read: whole samples, and the cut or None."""
    found, cut = [], None
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        try:
            found.extend(group("t.tar", walk("t.tar", file)))
        except Cut as error:
            cut = error
    return [(s[0].key, [(m.ext.lower(), data[m.offset :][: m.size]) for m in s]) for s in found], cut


@given(st.lists(st.tuples(names, contents), max_size=8), st.sampled_from(FORMATS))
def test_groups_as_webdataset_does(files, tar_format):
    """Whatever the names and kinds of members, samples are webdataset's; where it refuses, so do we."""
    data = tar_bytes(files, tar_format)
    try:
        theirs = stream_by_webdataset(io.BytesIO(data))
    except ValueError:
        with pytest.raises(ShardError, match="has two members"):
            groups(data)
    else:
        assert groups(data) == (theirs, None)


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_long_names(tar_format):
    """Names beyond the header's 100 bytes are read in full."""
    data = tar_bytes(samples(["d/" + "ü" * 150, "e" * 300]), tar_format)

    assert groups(data) == (stream_by_webdataset(io.BytesIO(data)), None)


def test_two_members_of_one_name():
    """Extensions that differ by case alone would overwrite each other, and are refused."""
    with pytest.raises(ShardError, match=r"^t\.tar: d/a: has two members 'jpg'$"):
        groups(tar_bytes([("d/a.jpg", b"1"), ("d/a.JPG", b"2")]))


def test_a_sparse_member_is_refused():
    """A file with holes has no single place in the tar."""
    data = bytearray(tar_bytes([("a.bin", b"")]))
    data[156:157] = b"S"
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))

    with pytest.raises(
        ShardError, match=r"^t\.tar: a: member 'a\.bin' is a sparse file: write the tar without"
    ):
        groups(bytes(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is an empty file, not a tar"),
        (b"\x89PNG" * 1000, "is not a tar: there is no tar header at its start"),
        (b"short", "is not a tar: there is no tar header at its start"),
    ],
)
def test_what_is_no_tar_is_refused(data, reason):
    """A file that does not start as a tar is an error, not a shard without samples."""
    with pytest.raises(ShardError, match=f"^t.tar: {re.escape(reason)}$"):
        groups(data)


def test_a_tar_without_members_has_no_samples():
    """An empty tar is a tar."""
    assert groups(tar_bytes([])) == ([], None)


@given(st.data(), st.sampled_from(FORMATS), st.integers(0, 5))
def test_a_cut_tar_yields_the_whole_samples_before_the_cut(data, tar_format, size):
    """Cut anywhere, all samples whose bytes are there are read and no part of another."""
    # long non-ASCII names: several header blocks a member, but in USTAR
    keys = ["a", "b", "cé" * (1 if tar_format == tarfile.USTAR_FORMAT else 70), "d"]
    whole = tar_bytes(samples(keys, size=size * 200), tar_format)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        ends = [member.offset_data + member.size for member in tar][1::2]
    second_key = ends[0] + 512  # before, nothing tells that the first sample is whole
    end_mark = -(-ends[-1] // 512) * 512
    at = data.draw(st.integers(512, end_mark))

    found, cut = groups(whole[:at])

    expected = sum(end <= at for end in ends)
    if at < -(-second_key // 512) * 512:
        expected = 0
    assert found == groups(whole)[0][:expected]
    assert cut is not None


@given(st.integers(1, 5))
def test_a_tar_cut_within_its_end_mark_is_whole(length):
    """What follows the last member does not matter."""
    data = tar_bytes(samples("ab", size=512))

    assert groups(data[: 4 * 1024 + length]) == groups(data)


def test_an_incomplete_last_sample_is_left_out():
    """Cut between two members, the sample is left out though no member of it was cut."""
    data = tar_bytes(samples("ab", size=512))

    found, cut = groups(data[: 3 * 1024])

    assert [key for key, _ in found] == ["a"]
    assert cut.reason == "was cut at byte 3072: its end mark is missing"


def test_says_how_much_is_missing():
    """Cut in a member, the message names it and counts the bytes."""
    _, cut = groups(tar_bytes(samples("ab"))[:4000])

    assert cut.reason == "was cut at byte 4000: 184 of 600 bytes of 'b.jpg' are missing"
    assert cut.key == "b"


def test_damage_in_the_middle_is_no_end():
    """Where a header is overwritten, the samples before it are read and the place is named."""
    data = bytearray(tar_bytes(samples("abc", size=512)))
    data[4096:4200] = b"x" * 104

    found, cut = groups(bytes(data))

    assert [key for key, _ in found] == ["a", "b"]
    assert cut.reason == "is damaged at byte 4096: there is no tar header"


def test_every_real_tar_reads_as_webdataset_reads_it(data_dir):
    """Index and content of the tars that other tools wrote equal webdataset's."""
    paths = sorted(data_dir.glob("*/*.tar"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        assert groups(data) == (stream_by_webdataset(io.BytesIO(data)), None), path
