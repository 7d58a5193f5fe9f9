"""The hashes of a sample that the table of a zoomed shard keeps."""

import hashlib

import pytest

from foveal.shards import Shards
from foveal.tools.offline._made_of import hash_members, read_hashes
from tests.shards.reading import make_tar

MEMBERS = {"jpg": b"picture", "cls": b"1", "txt": b"a crack"}


def test_the_image_apart_from_the_others():
    """The image has the hash of its file, and the others have one that it does not change."""
    hashes = hash_members(MEMBERS, "png;jpg")

    assert hashes.image == hashlib.sha256(b"picture").hexdigest()
    assert hash_members({**MEMBERS, "jpg": b"another"}, "png;jpg").members == hashes.members
    assert hash_members(dict(reversed(MEMBERS.items())), "png;jpg") == hashes
    assert hash_members({"cls": b"1"}, "png;jpg").image is None


@pytest.mark.parametrize(
    "other",
    [
        {"jpg": b"picture", "cls": b"7", "txt": b"a crack"},
        {"jpg": b"picture", "cls": b"1a", "txt": b" crack"},
        {"jpg": b"picture", "cls": b"1", "json": b"a crack"},
        {"jpg": b"picture", "cls": b"1"},
        {"jpg": b"picture", "cls": b"1", "txt": b"a crack", "x": b""},
        {"png": b"picture", "cls": b"1", "txt": b"a crack"},
    ],
)
def test_whatever_is_another_member_changes_the_hash(other):
    """Contents, names, where one ends and the next begins, and the image's name are told apart."""
    assert hash_members(other, "png;jpg").members != hash_members(MEMBERS, "png;jpg").members


def test_what_is_not_in_one_piece(tmp_path):
    """If a member is there twice, the names stand for all members, and the image keeps its hash, unless it is that member."""
    files = [(f"a.{name}", content) for name, content in MEMBERS.items()]
    whole, double = (
        read_hashes(Shards(make_tar(tmp_path / f"{len(more)}.tar", [*files, *more])), 0, "jpg")
        for more in ([], [("a.cls", b"2")])
    )
    two = read_hashes(Shards(make_tar(tmp_path / "two.tar", [*files, ("a.jpg", b"")])), 0, "jpg")

    assert whole == hash_members(MEMBERS, "jpg")
    assert double.image == whole.image
    assert two.image is None
    assert len({whole.members, double.members, two.members}) == 3
