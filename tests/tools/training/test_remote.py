"""A training on shards behind a web server."""

from dataclasses import replace
from pathlib import Path

import pytest

from foveal.shards import ShardError
from foveal.tools import train
from tests.shards.server import Files, serving
from tests.tools import command_line
from tests.tools.training.runs import SMALL, check_same_weights

pytestmark = pytest.mark.usefixtures("no_sheets")


@pytest.fixture
def site(shards, tmp_path, monkeypatch):
    """Serve the shards; keep copies in a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = Files({f"/{Path(path).name}": Path(path).read_bytes() for path in [shards]})
    with serving(files) as server:
        yield server


def test_copies_are_read_from_the_second_epoch_on(site, shards, tmp_path):
    """With room for copies a shard is sent as a whole, once for all epochs; without, by many parts; the training is that of local shards."""
    url = f"{site.url}/{Path(shards).name}"
    train(url, tmp_path / "run", val=url, options=replace(SMALL, cache_size="10MB"))
    train(shards, tmp_path / "local", val=shards, options=SMALL)
    size = Path(shards).stat().st_size
    sent = sum(each.sent for each in site.requests)

    check_same_weights(tmp_path / "run", tmp_path / "local")
    assert (
        size <= sent < 3 * size
    )  # its headers to index it, and one copy, for labels, two epochs and their validation


def test_without_room_the_error_names_the_option(site, shards, tmp_path):
    """A server that sends no parts needs copies, and `--cache-size` gives them."""
    url, site.site.ranges = f"{site.url}/{Path(shards).name}", False
    with pytest.raises(ShardError, match=r"set cache_size \(foveal train: --cache-size\) to at least the "):
        train(url, tmp_path / "run", options=SMALL)
    result = command_line.run(
        "train",
        url,
        "--out",
        tmp_path / "run",
        "--out-size",
        16,
        "--epochs",
        1,
        "--batch-size",
        4,
        "--cache-size",
        "10MB",
    )

    assert result.exit_code == 0, result.output
