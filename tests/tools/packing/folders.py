"""Folders of images to pack, and what is in their shards."""

import os
from pathlib import Path

from tests.pipeline.making import encode, picture
from tests.shards.reading import by_webdataset


def write(folder, *names):
    """Write files of distinct content; those that end in jpg are images."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            encode(picture(number, 24, 32)) if name.lower().endswith("jpg") else os.fsencode(name)
        )
    return folder


def read(urls):
    """Return every sample as webdataset groups it: (key, members)."""
    return [(key, dict(members)) for url in urls for key, members in by_webdataset(Path(url))]


def files_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
