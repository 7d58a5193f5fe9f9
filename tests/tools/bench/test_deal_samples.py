import io

import pytest
from rich.console import Console

from foveal.shards import Shards, ShardWriter
from foveal.tools.bench._deal_samples import deal_samples, pick_files
from foveal.tools.bench._throughput import print_throughput
from foveal.tools.bench.ceilings import count_pixels
from foveal.tools.bench.timing import Timing
from tests.pipeline.making import encode, picture

QUIET = Console(quiet=True)


@pytest.fixture
def given(tmp_path):
    """Return five pictures with labels, the second a PNG."""
    with ShardWriter(tmp_path / "given.tar") as writer:
        for k in range(5):
            kind = "png" if k == 1 else "jpg"
            file = encode(picture(k, 20 + k, 30), {"png": "PNG", "jpg": "JPEG"}[kind])
            writer.write({"__key__": f"x{k}", kind: file, "cls": k})
    return Shards(tmp_path / "given.tar")


def images_of(shards):
    return [next(iter(sample.members.values())) for sample in shards]


@pytest.mark.parametrize(
    ("images", "picks"), [(3, [0, 2, 4]), (5, [0, 1, 2, 3, 4]), (7, [0, 1, 2, 3, 4, 0, 1])]
)
def test_fewer_are_spread_and_more_repeat(given, tmp_path, images, picks):
    """Fewer images are spread over all, more repeat them in order; other members are left out."""
    [path] = deal_samples(given, tmp_path / "out", images, console=QUIET)
    dealt, files = (
        Shards(path),
        [next(iter(given[k].members[e] for e in ("jpg", "png") if e in given[k].members)) for k in range(5)],
    )

    assert [sample.key for sample in dealt] == [f"{k:06d}" for k in range(images)]
    assert images_of(dealt) == [files[pick] for pick in picks]
    assert {len(sample.members) for sample in dealt} == {1}


def test_a_sample_without_an_image_is_an_empty_file(tmp_path):
    """Loaders that are compared find a file that none of them can read, which is counted, and no error."""
    file = encode(picture(0, 20, 30), "JPEG")
    with ShardWriter(tmp_path / "given.tar") as writer:
        writer.write({"__key__": "0", "cls": 0})
        writer.write({"__key__": "1", "jpg": file, "cls": 1})

    assert pick_files(Shards(tmp_path / "given.tar"), 2) == [b"", file]


def test_in_turn_into_parts(given, tmp_path):
    """Two readers of the shards have equal work, and DALI finds indexes beside them."""
    paths = deal_samples(given, tmp_path / "out", 7, parts=2, console=QUIET)

    assert [[sample.key for sample in Shards(path)] for path in paths] == [
        ["000000", "000002", "000004", "000006"],
        ["000001", "000003", "000005"],
    ]
    assert len(list((tmp_path / "out").glob("*.idx"))) == 2


def test_no_empty_part(given, tmp_path):
    """There are no more shards than images."""
    assert len(deal_samples(given, tmp_path / "out", 2, parts=8, console=QUIET)) == 2


def test_count_pixels(given):
    """Pixels are counted from headers."""
    assert count_pixels(given) == 30 * (20 + 21 + 22 + 23 + 24)


def test_print_throughput():
    """The table has images and megapixels per second, the ratio to decoding, and further columns."""
    console = Console(file=io.StringIO(), width=120)
    timings = {"DALI decode only": Timing([2.0], 0), "x": Timing([4.0], 0)}
    print_throughput(console, timings, images=8, pixels=32_000_000, columns=["MB"], beside={"x": ["7"]})

    head, _, row = [line.split() for line in console.file.getvalue().splitlines()]
    assert head == ["images/s", "MP/s", "of", "decode", "only", "MB"]
    assert row == ["x", "2.0", "8", "0.50", "7"]
