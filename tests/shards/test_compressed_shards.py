"""Shards that are compressed: gzip, bzip2, xz and Zstandard, as usual and rarer programs write them."""

import bz2
import errno
import gzip
import io
import lzma
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import zstandard

from foveal.shards import ShardError, Shards, ShardWarning, write_index
from tests.shards.reading import (
    by_foveal,
    by_webdataset,
    make_tar,
    samples,
    tar_bytes,
)


def test_a_packed_shard_is_unpacked_once(tmp_path, monkeypatch):
    """A gzip tar is known by its first bytes and unpacked into the cache until it changes."""
    tar, cache = tmp_path / "t.tar", tmp_path / "cache"
    tar.write_bytes(gzip.compress(tar_bytes(samples("ab"))))
    assert by_foveal(tar, cache_dir=cache) == by_webdataset(tar)
    with monkeypatch.context() as patch:
        patch.setattr("foveal.shards.index._packed.gzip.open", lambda *_: pytest.fail("unpacked again"))
        assert by_foveal(tar, cache_dir=cache) == by_webdataset(tar)

    tar.write_bytes(gzip.compress(tar_bytes(samples("cde"))))
    assert by_foveal(tar, cache_dir=cache) == by_webdataset(tar)
    assert len(list(cache.glob("*.tar"))) == 1


PACKERS = {
    "tar.gz": ["gzip"],
    "tar.zst": ["zstd", "-q"],
    "tar.bz2": ["bzip2"],
    "tar.xz": ["xz"],
}


@pytest.mark.parametrize("ending", PACKERS)
def test_packed_by_any_of_the_usual_programs(ending, tmp_path):
    """Compressed shards are read under any file name, with all of their parts; cut or damaged ones are reported."""
    noise = np.random.default_rng(0)  # the same each time: of some, bzip2 takes the damage below for a cut
    whole = tar_bytes([(name, noise.bytes(600)) for name, _ in samples("abcdef")])
    tar = tmp_path / "plain.tar"
    tar.write_bytes(whole)
    expected = by_webdataset(tar)
    packed = [
        subprocess.run(PACKERS[ending], input=part, stdout=-1, check=True).stdout
        for part in (whole[:7000], whole[7000:])
    ]
    for name in (f"t.{ending}", "t.tar"):
        (tmp_path / name).write_bytes(b"".join(packed))
        assert by_foveal(tmp_path / name) == expected

    with pytest.raises(ShardError, match=r"-compressed, and an index is of plain tars: unpack it first"):
        write_index(tmp_path / f"t.{ending}")
    (tmp_path / "cut.tar").write_bytes(packed[0] + packed[1][: len(packed[1]) // 2])
    with pytest.warns(ShardWarning, match="was cut at byte"):
        found = by_foveal(tmp_path / "cut.tar")
    assert 0 < len(found) < len(expected)
    assert found == expected[: len(found)]
    damaged = bytearray(packed[0])
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = bytes(40)
    (tmp_path / "bad.tar").write_bytes(damaged)
    with pytest.raises(ShardError, match=r"is a damaged .* file"):
        Shards(tmp_path / "bad.tar")


@pytest.mark.parametrize("ending", PACKERS)
def test_a_part_whose_beginning_is_damaged(ending, tmp_path):
    """It cannot be told from bytes behind the last part, but the tar is reported as cut, because its end mark is missing."""
    whole = tar_bytes([(name, os.urandom(600)) for name, _ in samples("abcdef")])
    one, two = (
        subprocess.run(PACKERS[ending], input=part, stdout=-1, check=True).stdout
        for part in (whole[:7000], whole[7000:])
    )
    tar = tmp_path / f"t.{ending}"
    tar.write_bytes(one + b"\xff" + two[1:])

    with pytest.warns(ShardWarning, match="was cut at byte 7000"):
        assert [key for key, _ in by_foveal(tar)] == ["a", "b"]


def skippable(content):
    """A frame of zstd's that holds no data of the file: pzstd writes one before each other frame."""
    return b"\x50\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


def packed_in_parts(one, two):
    """By what each file is like: the same content, packed in two parts."""
    by_zstd = [zstandard.ZstdCompressor().compress(part) for part in (one, two)]
    far = zstandard.ZstdCompressionParameters.from_level(1, window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=far).compressobj()
    return {
        "as pzstd packs": skippable(b"1234") + by_zstd[0] + skippable(b"1234") + by_zstd[1],
        "with a seek table": b"".join(by_zstd) + skippable(bytes(40)),
        "zstd --long": packer.compress(one + two) + packer.flush(),
        "padded xz": lzma.compress(one) + bytes(8) + lzma.compress(two) + bytes(4),
        "gzip on a tape": gzip.compress(one + two) + bytes(512),
        "gzip in parts, and bytes behind": gzip.compress(one) + gzip.compress(two) + b"garbage",
        "bzip2 with bytes behind": bz2.compress(one + two) + b"garbage",
        "xz with bytes behind": lzma.compress(one + two) + b"garbage",
        "zstd in parts, and bytes behind": b"".join(by_zstd) + b"garbage",
        "zstd on a tape": b"".join(by_zstd) + bytes(512),
    }


PARTS = packed_in_parts(b"", b"")


class BrokenFile(io.FileIO):
    """A file on a disk that fails once its kind is known."""

    def readinto(self, _):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    read = readinto


@pytest.mark.parametrize("ending", PACKERS)
def test_a_packed_shard_on_a_broken_disk(ending, tmp_path, monkeypatch):
    """An error of reading names the shard alone: the cache that it is unpacked into is not at fault."""
    packed, cache = (
        subprocess.run(PACKERS[ending], input=bytes(10240), stdout=-1, check=True),
        tmp_path / "cache",
    )
    tar = tmp_path / f"t.{ending}"
    tar.write_bytes(packed.stdout)
    monkeypatch.setattr("foveal.shards.index._cache.open_local", BrokenFile)

    with pytest.raises(ShardError, match=f"^{re.escape(f'{tar}: cannot be read: Input/output error')}$"):
        Shards(tar, cache_dir=cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("kind", PARTS)
def test_packed_by_rarer_programs(kind, tmp_path):
    """All that is in the file, where common readers stop at the first part or refuse it."""
    whole = tar_bytes([(name, os.urandom(600)) for name, _ in samples("abcdef")])
    (tmp_path / "plain.tar").write_bytes(whole)
    (tmp_path / "t.tar").write_bytes(packed_in_parts(whole[:3000], whole[3000:])[kind])

    assert by_foveal(tmp_path / "t.tar") == by_webdataset(tmp_path / "plain.tar")
    (tmp_path / "nothing.tar").write_bytes(PARTS[kind])
    with pytest.raises(
        ShardError,
        match=r"holds nothing: the (zstd|xz|gzip|bzip2) file is empty, or was cut in its first block$",
    ):
        Shards(tmp_path / "nothing.tar")


def test_zstd_without_its_package(tmp_path, monkeypatch):
    """The error says what to install."""
    (tmp_path / "t.tar").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(
        ShardError, match=r"is zstd-compressed, which needs a package .*pip install 'foveal\[zstd\]'"
    ):
        Shards(tmp_path / "t.tar")


def test_a_name_that_begins_like_a_compressed_file(tmp_path):
    """A tar whose first folder is called BZh9 is not taken for bzip2."""
    tar = make_tar(tmp_path / "t.tar", [("BZh9/a.jpg", b"1")])

    assert by_foveal(tar) == [("BZh9/a", [("jpg", b"1")])]


def test_a_packed_shard_needs_a_cache(tmp_path):
    """Without a writable cache, the error names the folder and what to do."""
    tar = tmp_path / "t.tgz"
    tar.write_bytes(gzip.compress(tar_bytes(samples("ab"))))
    (tmp_path / "file").touch()
    cache = str(tmp_path / "file" / "cache")
    message = f"{tar}: cannot be unpacked into {cache!r}: Not a directory: unpack it, or set cache_dir"

    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        Shards(tar, cache_dir=cache)


def test_a_packed_shard_that_was_cut_yields_what_there_is(tmp_path):
    """A cut gzip file gives the complete samples of what can be decompressed."""
    whole = tar_bytes([(name, os.urandom(600)) for name, _ in samples("abcd")])
    tar = tmp_path / "t.tgz"
    tar.write_bytes(gzip.compress(whole)[:3000])

    with pytest.warns(ShardWarning, match="was cut at byte"):
        assert [key for key, _ in by_foveal(tar)] == ["a", "b"]


def test_a_packed_shard_that_is_damaged_is_refused(tmp_path):
    """A gzip file with a wrong checksum is refused."""
    packed = bytearray(gzip.compress(tar_bytes(samples("ab"))))
    packed[-6] ^= 1
    tar = tmp_path / "t.tgz"
    tar.write_bytes(packed)

    with pytest.raises(ShardError, match=r"t\.tgz: is a damaged gzip file: CRC check failed"):
        Shards(tar)
