"""Tars that are cut or damaged: which samples are whole, and what is told of the others."""

import io
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shards.index.grouped import groups
from tests.shards.reading import FORMATS, samples, tar_bytes


@given(st.data(), st.sampled_from(FORMATS), st.integers(0, 5))
def test_a_cut_tar_yields_the_whole_samples_before_the_cut(data, tar_format, size):
    """A tar that is cut anywhere has all complete samples before the cut."""
    # long non-ASCII names: several header blocks a member, but in USTAR
    keys = ["a", "b", "cé" * (1 if tar_format == tarfile.USTAR_FORMAT else 70), "d"]
    whole = tar_bytes(samples(keys, size=size * 200), tar_format)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        ends = [member.offset_data + member.size for member in tar][1::2]
    second_key = -(-ends[0] // 512) * 512 + 157  # before, nothing tells that the first sample is whole
    end_mark = -(-ends[-1] // 512) * 512
    at = data.draw(st.integers(512, end_mark))

    found, cut = groups(whole[:at])

    expected = sum(end <= at for end in ends)
    if at < second_key:
        expected = 0
    assert found == groups(whole)[0][:expected]
    assert cut is not None


@given(st.integers(1, 5))
def test_a_tar_cut_within_its_end_mark_is_whole(length):
    """A tar that is cut in its end mark is complete."""
    data = tar_bytes(samples("ab", size=512))

    assert groups(data[: 4 * 1024 + length]) == groups(data)


def test_an_incomplete_last_sample_is_left_out():
    """A tar that is cut between two members of a sample lacks this sample."""
    data = tar_bytes(samples("ab", size=512))

    found, cut = groups(data[: 3 * 1024])

    assert [key for key, _ in found] == ["a"]
    assert cut.reason == "was cut at byte 3072: its end mark is missing"


UNEQUAL = [
    (f"d/{name}", b"x" * 100)
    for name in ["0.cls", "0.jpg", "1.cls", "1.jpg", "1.json", "2.cls", "2.jpg", "3.cls"]
]


def headers_of(data):
    """Return where the header of each member begins, those of long names included."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member.offset for member in tar}


@pytest.mark.parametrize(
    ("folder", "tar_format"), [*(("", kind) for kind in FORMATS), ("long/" * 21, tarfile.USTAR_FORMAT)]
)
@pytest.mark.parametrize("length", [100, 156, 157, 300, 511, 512, 550])
def test_a_sample_that_goes_on_in_the_header_that_is_cut(folder, tar_format, length):
    """A sample whose next member was cut is left out, though what is left has the members of the sample before it."""
    data = tar_bytes([(folder + name, held) for name, held in UNEQUAL], tar_format)

    found, cut = groups(data[: headers_of(data)[f"{folder}d/1.json"] + length])

    assert [key for key, _ in found] == [f"{folder}d/0"]
    assert (cut.left_out, cut.unproven) == (f"{folder}d/1", None)


@pytest.mark.parametrize("length", [0, 4, 512, 1100])
def test_a_sample_that_only_those_before_it_vouch_for(length):
    """Where a long name hides what follows, the sample counts as whole if it has the members of all before it; that is noted."""
    data = tar_bytes([("long/" * 21 + name, held) for name, held in UNEQUAL])

    found, cut = groups(data[: headers_of(data)["long/" * 21 + "d/1.json"] + length])

    assert [key[-1] for key, _ in found] == ["0", "1"]
    assert (cut.left_out, cut.unproven) == (None, found[1][0])


def test_a_name_that_gnu_tar_puts_into_an_extended_header(tmp_path):
    """A sample is left out if the header that is cut is the extended one of its next member, as GNU tar names it."""
    for name, held in UNEQUAL:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(held)
    names = [name for name, _ in UNEQUAL]
    subprocess.run(["tar", "--format=posix", "-cf", "t.tar", *names], cwd=tmp_path, check=True)
    data = (tmp_path / "t.tar").read_bytes()
    assert b"PaxHeaders/1.json" in data

    for length in (100, 512, 1100):
        found, cut = groups(data[: headers_of(data)["d/1.json"] + length])
        assert ([key for key, _ in found], cut.left_out) == (["d/0"], "d/1")


def test_a_header_of_zeros_in_a_sample():
    """A header that was overwritten with zeros is no end mark, so the sample that it stands in is not taken for whole."""
    data = bytearray(tar_bytes(UNEQUAL))
    at = headers_of(data)["d/3.cls"] - 1024
    assert data[at:].startswith(b"d/2.jpg")
    data[at : at + 512] = bytes(512)

    found, cut = groups(bytes(data))

    assert [key for key, _ in found] == ["d/0", "d/1"]
    assert (cut.reason, cut.left_out) == (f"is damaged at byte {at}: there is no tar header", "d/2")


@pytest.mark.parametrize("cut_before", ["d/2.cls", "d/2.jpg", "d/3.cls"])
@pytest.mark.parametrize("length", [0, 156, 157, 512])
def test_samples_of_unequal_members_need_a_proof(cut_before, length):
    """Where samples have other members than those before them, the last one is read if the next name shows that it ended."""
    data = tar_bytes(UNEQUAL)
    whole = groups(data)[0]

    found, _ = groups(data[: headers_of(data)[cut_before] + length])

    number = int(cut_before[2])
    is_proven = length >= 157 or cut_before == "d/2.jpg"
    assert found == whole[: number if is_proven else number - 1]


def test_says_how_much_is_missing():
    """For a cut member, the message names it and counts the missing bytes."""
    _, cut = groups(tar_bytes(samples("ab"))[:4000])

    assert cut.reason == "was cut at byte 4000: 184 of 600 bytes of 'b.jpg' are missing"
    assert cut.key == "b"


def test_damage_in_the_middle_is_no_end():
    """If a header is overwritten, the samples before it are read, and the message gives the offset."""
    data = bytearray(tar_bytes(samples("abc", size=512)))
    data[4096:4200] = b"x" * 104

    found, cut = groups(bytes(data))

    assert [key for key, _ in found] == ["a", "b"]
    assert cut.reason == "is damaged at byte 4096: there is no tar header"
