"""What ``foveal zoom`` writes is read by Hugging Face's datasets."""

import pytest

from tests.tools.offline.zooming import write_originals, zoom


@pytest.mark.slow
def test_a_folder_of_zoomed_shards_loads(tmp_path):
    """The folder loads with every image and its labels, and with nothing else."""
    datasets = pytest.importorskip("datasets", reason="datasets is installed by `make test-all`")
    zoom(write_originals(tmp_path / "in"), tmp_path / "out")
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))

    assert list(found) == ["train"]
    assert [row["__key__"] for row in found["train"]] == [f"dir/{k:03d}" for k in range(15)]
    assert found["train"][3]["png"].size == (24, 24)
    assert found["train"][3]["cls"] == 3
