"""Samples as Foveal finds them in the bytes of a tar."""

import tempfile

from foveal.shards.index._tar import UNREADABLE, Cut, group, walk

NO_CONTENT = b"the tar has none"


def groups(data):
    """Return complete samples, and the cut or None, as Foveal reads them."""
    found, cut = [], None
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        try:
            found.extend(group(walk("t.tar", file)))
        except Cut as error:
            cut = error
    return [(s[0].key, [(m.ext.lower(), content(data, m)) for m in s]) for s in found], cut


def content(data, member):
    return NO_CONTENT if member.offset in UNREADABLE else data[member.offset :][: member.size]
