"""Makes tars with the standard library, and reads them with webdataset and with Foveal into the same plain form."""

import io
import tarfile
import warnings
from pathlib import Path
from typing import NamedTuple

from foveal.shards import Shards

with warnings.catch_warnings():  # what webdataset imports is old in places
    warnings.simplefilter("ignore")
    from webdataset.tariterators import group_by_keys, tar_file_expander

FORMATS = (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)


class HardLink(NamedTuple):
    """A member that is a hard link to another one."""

    target: str


def tar_bytes(files, tar_format=tarfile.GNU_FORMAT):
    """Return a tar of (name, content) pairs; content None makes a folder, text a symbolic link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            elif isinstance(content, HardLink):
                info.type, info.linkname = tarfile.LNKTYPE, content.target
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def make_tar(path, files, tar_format=tarfile.GNU_FORMAT):
    path.write_bytes(tar_bytes(files, tar_format))
    return path


def samples(keys, exts=("jpg", "cls"), size=600):
    """Return files of complete samples, each with its repeated name as content."""
    names = [f"{key}.{ext}" for key in keys for ext in exts]
    return [(name, (name.encode() * size)[:size]) for name in names]


def stream_by_webdataset(stream):
    """Return [(key, [(member, content), ...]), ...] as webdataset groups an open tar."""
    files = tar_file_expander([{"url": "", "stream": stream}])
    return [
        (
            sample["__key__"],
            [(name, data) for name, data in sample.items() if name not in ("__key__", "__url__")],
        )
        for sample in group_by_keys(files)
    ]


def by_webdataset(path):
    with path.open("rb") as stream:
        return stream_by_webdataset(stream)


def open_files(folder):
    """Return how many descriptors of this process are open on files below `folder`."""
    found = [_target(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
    return sum(target is not None and target.is_relative_to(folder) for target in found)


def _target(descriptor):
    """Return the target of a descriptor; None if another thread has closed it meanwhile."""
    try:
        return descriptor.readlink()
    except FileNotFoundError:
        return None


def by_foveal(path, **options):
    with Shards(path, **options) as shards:
        return [(sample.key, list(sample.members.items())) for sample in shards]
