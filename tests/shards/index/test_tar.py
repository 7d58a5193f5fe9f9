import io
import itertools
import re
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.shards import ShardError
from tests.shards.index.grouped import NO_CONTENT, groups
from tests.shards.reading import FORMATS, HardLink, samples, stream_by_webdataset, tar_bytes

# few letters, so that keys and extensions meet; all that splits names; meta names by chance and by intent
names = st.one_of(
    st.text("ab.", min_size=1, max_size=5),
    # the definition below does not know that a pax header's name loses slashes at its end
    st.text("aB._ é/\n日", min_size=1, max_size=9).filter(lambda name: name.isascii() or name[-1] != "/"),
    st.sampled_from(
        ["__meta__.json", "__m__/a.jpg", "d/__m__.a", "d.e/a.jpg", "d/.hid.jpg", "a.tar.gz", "README"]
    ),
)
contents = st.one_of(
    st.binary(max_size=3),
    st.integers(0, 1500).map(bytes),
    st.none(),
    st.just("target"),
    names.map(HardLink),
)


def as_plain_files(files):
    """Return the tar without what webdataset ignores or cannot read: links become files, hidden files are left out."""
    there, plain = {}, []
    for name, kind in files:
        held = kind
        if isinstance(kind, HardLink):
            held = there.get(kind.target, NO_CONTENT)
        elif isinstance(kind, str):
            held = NO_CONTENT
        if held is not None:
            there[name] = held
        if not name.rpartition("/")[2].startswith("."):
            plain.append((name, held))
    return plain


def runs(files):
    """Return samples by the definition: runs of files whose names agree up to the first dot of the last path component."""
    split = ((name.rpartition("/"), held) for name, held in files if held is not None)
    named = [(folder + slash + last.partition(".")[0], last.partition(".")[2].lower(), held)
             for (folder, slash, last), held in split
             if "." in last and not re.match(r"__[^/]*__($|/)", folder + slash + last)]  # fmt: skip
    return [
        (key, [(ext, held) for _, ext, held in run]) for key, run in itertools.groupby(named, lambda m: m[0])
    ]


@given(st.lists(st.tuples(names, contents), max_size=8), st.sampled_from(FORMATS))
def test_groups_as_webdataset_does(files, tar_format):
    """For any member names and kinds, samples are webdataset's; a sample that it refuses has duplicates."""
    plain = as_plain_files(files)
    found = groups(tar_bytes(files, tar_format))
    try:
        theirs = stream_by_webdataset(io.BytesIO(tar_bytes(plain, tar_format)))
    except ValueError:
        assert any(len(dict(members)) < len(members) for _, members in found[0])
    else:
        assert found == (theirs, None)
    assert found == (runs(plain), None)


def test_a_slash_at_the_end_of_a_pax_name():
    """A file whose name is in a pax header and ends with a slash is read under the name without it, as webdataset does."""
    data = tar_bytes([("d/B.é/", b"x")], tarfile.PAX_FORMAT)

    assert groups(data) == (stream_by_webdataset(io.BytesIO(data)), None) == ([("d/B", [("é", b"x")])], None)


def test_the_oracle_finds_a_wrong_group():
    """The comparison fails if two samples are taken for one."""
    files = [("a.jpg", b"1"), ("b.cls", b"2")]

    assert runs(files) == [("a", [("jpg", b"1")]), ("b", [("cls", b"2")])]


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_long_names(tar_format):
    """Names beyond the header's 100 bytes are read in full."""
    data = tar_bytes(samples(["d/" + "ü" * 150, "e" * 300]), tar_format)

    assert groups(data) == (stream_by_webdataset(io.BytesIO(data)), None)


def test_two_members_of_one_name():
    """Both members of one name are in the sample, so that reading it can report them."""
    data = tar_bytes([("d/a.jpg", b"1"), ("d/a.JPG", b"2")])

    assert groups(data) == ([("d/a", [("jpg", b"1"), ("jpg", b"2")])], None)


@pytest.mark.parametrize("kind", ["gnu", "pax 0.0", "pax 0.1", "pax 1.0"])
def test_a_sparse_member_has_no_place(tmp_path, kind):
    """A sample with a sparse file of GNU tar is there without it, and so are all other samples."""
    for name in ("a.bin", "b.bin", "b.txt", "c.bin"):
        (tmp_path / name).write_bytes(b"content of " + name.encode())
    with (tmp_path / "b.bin").open("r+b") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"in the middle")
    form = ["--format=gnu"] if kind == "gnu" else ["--format=pax", f"--sparse-version={kind[4:]}"]
    command = ["tar", "--sparse", *form, "-cf", "t.tar", "a.bin", "b.bin", "b.txt", "c.bin"]
    subprocess.run(command, cwd=tmp_path, check=True)

    found, cut = groups((tmp_path / "t.tar").read_bytes())

    assert (found, cut) == (
        [
            ("a", [("bin", b"content of a.bin")]),
            ("b", [("bin", NO_CONTENT), ("txt", b"content of b.txt")]),
            ("c", [("bin", b"content of c.bin")]),
        ],
        None,
    )


def test_what_a_mac_adds_is_passed_over(tmp_path):
    """macOS's shadow files, folder settings and attribute headers are ignored."""
    shadow = b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(150)
    names = ("._train", "train/.DS_Store", "train/._a.cls", "train/a.cls", "train/._a.jpg", "train/a.jpg")
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "of a Mac"}
    ) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            held = shadow if "._" in name else name.encode()
            info.size = len(held)
            info.pax_headers = {
                "LIBARCHIVE.xattr.com.apple.provenance": "AQIAb",
                "mtime": "1700000000.123456789",
            }
            tar.addfile(info, io.BytesIO(held))

    assert groups(out.getvalue()) == ([("train/a", [("cls", b"train/a.cls"), ("jpg", b"train/a.jpg")])], None)


def test_hard_links_of_gnu_tar(tmp_path):
    """Both names of a hard-linked file have its content."""
    (tmp_path / "a.jpg").write_bytes(b"pixels" * 300)
    (tmp_path / "b.jpg").hardlink_to(tmp_path / "a.jpg")
    (tmp_path / "b.cls").write_bytes(b"1")
    subprocess.run(["tar", "-cf", "t.tar", "a.jpg", "b.cls", "b.jpg"], cwd=tmp_path, check=True)
    data = (tmp_path / "t.tar").read_bytes()

    assert data.count(b"pixels" * 300) == 1
    assert groups(data) == (
        [("a", [("jpg", b"pixels" * 300)]), ("b", [("cls", b"1"), ("jpg", b"pixels" * 300)])],
        None,
    )


@settings(max_examples=300)
@given(st.data())
def test_damage_of_headers_ends_in_a_cut_at_worst(data):
    """Whatever bytes a header has, the samples before it are read and nothing else is raised."""
    tar_format = data.draw(st.sampled_from(FORMATS))
    keys = ["a", "é" * (1 if tar_format == tarfile.USTAR_FORMAT else 70), "c"]
    intact = tar_bytes(samples(keys, size=100), tar_format)
    whole = bytearray(intact)
    at = data.draw(st.integers(1, len(whole) // 512 - 1)) * 512
    where, new = data.draw(st.integers(0, 500)), data.draw(st.binary(min_size=1, max_size=12))
    whole[at + where : at + where + len(new)] = new
    if data.draw(st.booleans()):  # a header that is what its writer meant
        block = whole[at : at + 512]
        whole[at + 148 : at + 156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))

    found, _ = groups(bytes(whole))

    followed = max(
        0, sum(end <= at for end in ends_of(intact)[1::2]) - 1
    )  # the last one may have lost a member
    assert found[:followed] == groups(intact)[0][:followed]


def ends_of(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [member.offset_data + member.size for member in tar]


def test_headers_without_end():
    """A thousand long-name headers in a row are damage, not a stack overflow."""
    block = tarfile.TarInfo("././@LongLink")
    block.type, block.size = tarfile.GNUTYPE_LONGNAME, 4
    long_names = (block.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * 3000

    found, cut = groups(tar_bytes(samples("ab", size=9))[:4096] + long_names)

    assert [key for key, _ in found] == ["a", "b"]
    assert cut is not None


@pytest.mark.parametrize("blocking", [1, 20, 2048])
def test_a_tar_that_goes_on_behind_its_end_mark(blocking):
    """What is before the end mark is read, and the number of bytes after it is reported; padding of zeros is not."""
    record = blocking * 512
    first = tar_bytes(samples("ab"))
    first = first.rstrip(b"\0")
    first += bytes(1024 + -(len(first) + 1024) % record)
    second = tar_bytes(samples("cd"))

    found, cut = groups(first + second)

    assert [key for key, _ in found] == ["a", "b"]
    assert cut.beyond == len(second)
    assert cut.reason == (
        f"goes on behind its end mark: its last {len(second):,} bytes are not read – if it was joined from several tars by "
        "cat, join them by tar --concatenate (-A) instead"
    )
    assert groups(first)[1] is None


def test_a_tar_that_is_joined_as_advised(tmp_path):
    """Joining tars as the message says gives all samples."""
    for name in ("ab", "cd"):
        (tmp_path / f"{name}.tar").write_bytes(tar_bytes(samples(name)))
    subprocess.run(["tar", "--concatenate", "--file=ab.tar", "cd.tar"], cwd=tmp_path, check=True)

    found, cut = groups((tmp_path / "ab.tar").read_bytes())

    assert ([key for key, _ in found], cut) == (["a", "b", "c", "d"], None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is an empty file, not a tar"),
        (b"\x89PNG" * 1000, "is not a tar: there is no tar header at its start"),
        (b"short", "is not a tar: there is no tar header at its start"),
    ],
)
def test_what_is_no_tar_is_refused(data, reason):
    """A file that does not begin as a tar is an error."""
    with pytest.raises(ShardError, match=f"^t.tar: {re.escape(reason)}$"):
        groups(data)


def test_a_tar_without_members_has_no_samples():
    """An empty tar has no samples and is no error."""
    assert groups(tar_bytes([])) == ([], None)


def test_every_real_tar_reads_as_webdataset_reads_it(data_dir):
    """For tars that other tools wrote, index and content equal webdataset's."""
    paths = sorted(data_dir.glob("*/*.tar"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        assert groups(data) == (stream_by_webdataset(io.BytesIO(data)), None), path
