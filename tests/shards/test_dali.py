"""DALI's reader reads Foveal's index files and tars."""

import tarfile

import pytest

from foveal.shards import ShardWriter, write_index
from tests.shards.reading import by_webdataset, make_tar, samples

fn = pytest.importorskip("nvidia.dali.fn")
pipeline_def = pytest.importorskip("nvidia.dali").pipeline_def


def by_dali(tar, index=None):
    """Return [(jpg, cls), ...] through fn.readers.webdataset."""
    options = {} if index is None else {"index_paths": [str(index)]}

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def pipeline():
        jpg, cls = fn.readers.webdataset(
            paths=[str(tar)], ext=["jpg", "cls"], missing_component_behavior="error", name="reader", **options
        )
        return jpg, cls

    built = pipeline()
    built.build()
    return [tuple(bytes(out.at(0)) for out in built.run()) for _ in range(built.epoch_size("reader"))]


def expected(tar):
    return [(dict(members)["jpg"], dict(members)["cls"]) for _, members in by_webdataset(tar)]


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_by_our_index(tmp_path, tar_format):
    """All samples are read, and only those, also with names beyond ASCII and beyond 100 bytes."""
    tar = make_tar(tmp_path / "t.tar", samples(["é/a", "b" * 150, "日本"]), tar_format)

    assert by_dali(tar, write_index(tar)) == expected(tar)


def test_reads_our_tars(tmp_path):
    """Tars are read with and without an index, with any names."""
    tar = tmp_path / "t.tar"
    with ShardWriter(tar) as writer:
        for key in ("a", "é" * 80, "d/b"):
            writer.write({"__key__": key, "jpg": key.encode(), "cls": 7})

    assert by_dali(tar) == by_dali(tar, write_index(tar)) == expected(tar)
