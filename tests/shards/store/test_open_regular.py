"""Files that are opened, and what is none."""

import os
import re

import pytest

from foveal.shards.store import open_regular


def test_a_file(tmp_path):
    """A file is read, also through a link."""
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"content"


def test_what_is_no_file(tmp_path):
    """A pipe without a writer, a device and a folder are errors that name them, at once, and nothing stays open."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    kinds = {
        "pipe": "[Errno 22] Not a regular file",
        "endless": "[Errno 22] Not a regular file",
        "folder": "[Errno 21] Is a directory",
    }
    for name, reason in kinds.items():
        path = tmp_path / name
        with pytest.raises(OSError, match=f"^{re.escape(f'{reason}: {str(path)!r}')}$"):
            open_regular(path)
