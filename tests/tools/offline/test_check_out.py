"""``foveal zoom`` replaces neither originals nor shards that it did not write."""

import re

import pytest

from tests.tools.offline.zooming import samples_of, write_originals, zoom

pytestmark = pytest.mark.usefixtures("no_sheet")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("spelling", ["as it is", "from within", "a link", "a link to a shard"])
def test_originals_are_never_replaced(tmp_path, monkeypatch, spelling, overwrite):
    """However the folder of the originals is spelled, nothing is written to it."""
    urls, out = write_originals(tmp_path / "in", shards=2, samples=2), tmp_path / "in"
    if spelling == "from within":
        monkeypatch.chdir(out)
        urls, out = "s-*.tar", "."
    elif spelling == "a link":
        out = tmp_path / "link"
        out.symlink_to(tmp_path / "in")
    elif spelling == "a link to a shard":
        out = tmp_path / "out"
        out.mkdir()
        (out / "s-1.tar").symlink_to(tmp_path / "in/s-1.tar")
    before = {path: path.read_bytes() for path in (tmp_path / "in").iterdir()}

    with pytest.raises(
        ValueError,
        match=r"^out must be another folder than that of the shards, got .*tar' would be replaced\.$",
    ):
        zoom(urls, out, overwrite=overwrite)
    assert {path: path.read_bytes() for path in (tmp_path / "in").iterdir()} == before


def test_shards_of_others_stay(tmp_path):
    """A shard of the same name that foveal zoom did not write is only replaced if --overwrite is given."""
    urls, out = write_originals(tmp_path / "in", shards=2, samples=2), tmp_path / "out"
    out.mkdir()
    (out / "s-1.tar").write_bytes(b"of another")
    message = (
        f"out must be a folder without shards of these names, got '{out}' with 's-1.tar', which foveal zoom did not write – name "
        "another folder, or pass --overwrite to replace them."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        zoom(urls, out)
    assert [path.name for path in out.iterdir()] == ["s-1.tar"]
    assert (out / "s-1.tar").read_bytes() == b"of another"
    zoom(urls, out, overwrite=True)
    assert len(samples_of(out)) == 4
