"""``foveal view``, and the zoom that a command line describes."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from foveal.pipeline import Boxes
from foveal.sampler import (
    NJetSaliencyNet,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    SpectralSaliency,
    warp_boxes,
)
from foveal.shards import SampleError, ShardError, Shards, ShardWriter
from foveal.tools._view import view_shards
from foveal.tools.console.choose_zoom import choose_zoom
from foveal.tools.console.zoom_choice import ZoomChoice
from foveal.tools.pictures.view_row import view_row, view_rows
from tests.pipeline.making import encode, picture
from tests.tools import command_line

BOXES = [[10, 20, 40, 60], [70, 5, 95, 30]]


@pytest.fixture
def shard(tmp_path) -> str:
    """Return a shard of seven pictures with two boxes each."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(7):
            writer.write({"__key__": str(k), "jpg": encode(picture(k, 80, 100)), "json": {"boxes": BOXES}})
    return str(tmp_path / "s.tar")


def test_a_sheet(shard, tmp_path, capsys):
    """The sheet has a row for each of the samples, spread evenly, and its path is printed."""
    view_shards(
        [shard], choose_zoom(32, "spectral"), out=tmp_path / "sheet.png", rows=3, boxes=Boxes("json:boxes")
    )

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1600, 52 + 342 * 3)
    assert "3 of 7 samples" in capsys.readouterr().out


@pytest.mark.parametrize("family", ["kernel", "separable", "cdf"])
def test_a_row(shard, family):
    """The row has the sampler's result and the warped boxes."""
    zoom = choose_zoom(32, "spectral", ZoomChoice(family=family, temperature=0.5, max_zoom=3.0))
    row = view_row(Shards(shard), 2, zoom, Boxes("json:boxes"))
    images, grid, saliency = zoom([torch.from_numpy(row.original)])
    [boxes], [kept] = warp_boxes([torch.tensor(BOXES).float()], grid, (80, 100))

    assert np.array_equal(row.grid, grid[0])
    assert np.array_equal(row.saliency, saliency[0, 0])
    assert np.array_equal(row.zoomed, images[0].permute(1, 2, 0))
    assert np.array_equal(row.boxes, BOXES)
    assert np.array_equal(row.zoomed_boxes, boxes)
    assert row.kept == kept.tolist() == [0, 1]
    assert row.caption.startswith("2   100 × 80 → 32 × 32   zooms in up to ")
    assert row.caption.endswith("2 of 2 boxes")


def test_without_boxes(shard):
    """Without boxes none are drawn or mentioned."""
    row = view_row(Shards(shard), 0, choose_zoom(32, "spectral"), None)

    assert len(row.boxes) == len(row.zoomed_boxes) == 0
    assert "boxes" not in row.caption


def test_bad_samples_make_room(tmp_path, capsys):
    """The next good sample is drawn instead of a bad one, which is named; if all are bad, that is an error."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        for k in range(9):
            image = {0: {}, 8: {"jpg": b"junk"}}.get(k, {"jpg": encode(picture(k, 80, 100))})
            writer.write({"__key__": str(k), "json": {"boxes": BOXES}, **image})
    url = str(tmp_path / "s.tar")
    rows, bad = view_rows(Shards(url), 3, choose_zoom(32, "spectral"), Boxes("json:boxes"))

    assert [row.caption[0] for row in rows] == ["1", "4"]
    assert [error.key for error in bad] == ["0", "8"]
    view_shards([url], choose_zoom(32, "spectral"), out=tmp_path / "sheet.png", rows=3)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Not shown: {url}: 8: image is nothing that DALI or Pillow knows" in printed
    assert "2 of 9 samples" in printed
    with pytest.raises(SampleError, match=r"s\.tar: 0: member is missing: there is no jpg"):
        view_rows(Shards(url), 3, choose_zoom(32, "spectral"), Boxes("json"))


def test_boxes_that_are_something_else(shard):
    """Invalid boxes are an error that names the sample."""
    with pytest.raises(ShardError, match=re.escape(f"{shard}: 0: json is not (n, 4) numbers: ")):
        view_row(Shards(shard), 0, choose_zoom(32, "spectral"), Boxes("json"))


def test_boxes_that_no_sample_has(shard, tmp_path):
    """Boxes that no sample has give a warning, and the sheet is drawn without them."""
    with pytest.warns(
        UserWarning, match="json detections is absent in all of 5 samples, the last of which has json "
    ):
        view_shards(
            [shard], choose_zoom(32, "spectral"), out=tmp_path / "a.png", boxes=Boxes("json:detections")
        )
    assert (tmp_path / "a.png").stat().st_size


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "kind", [SaliencyNet, SaliencyUNet, ResNet18Saliency, NJetSaliencyNet, PriorSaliency]
)
def test_trained_weights(tmp_path, whole, kind):
    """Weights of any saliency network, or of a sampler, are loaded and frozen."""
    trained = SaliencySampler(16, saliency=kind())
    torch.save((trained if whole else trained.saliency).state_dict(), tmp_path / "net.pt")
    zoom = choose_zoom(32, str(tmp_path / "net.pt"))

    assert isinstance(zoom.saliency, kind)
    if kind is PriorSaliency:  # as it was trained, as far as weights alone can say
        assert zoom.settings == SaliencySampler(32).settings
    assert zoom.lowres_size == ((224, 224) if kind is ResNet18Saliency else (128, 128))
    assert all(torch.equal(a, b) for a, b in zip(zoom.parameters(), trained.parameters(), strict=True))
    assert not any(p.requires_grad for p in zoom.parameters())


def test_spectral():
    """Spectral saliency has no parameters."""
    assert isinstance(choose_zoom(32, "spectral").saliency, SpectralSaliency)


@pytest.mark.parametrize("content", [b"not a file of torch", "a network"])
def test_other_files(tmp_path, content):
    """A file that holds no weights is an error of one line that names it, and nothing in it is run."""
    path = tmp_path / "net.pt"
    if (
        content == "a network"
    ):  # whole, and not its weights: torch's own words advise to run what is in the file
        torch.save(SaliencyNet(), path)
    else:
        path.write_bytes(content)
    message = (
        f"saliency must be a file that torch.save wrote, with weights alone, got {str(path)!r} – such as run/saliency.pt, which "
        "foveal train writes."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        choose_zoom(32, str(path))

    torch.save({"a": torch.zeros(1)}, path)
    kinds = "a SaliencyNet, SaliencyUNet, ResNet18Saliency, NJetSaliencyNet or PriorSaliency, or of a sampler with one, got"
    with pytest.raises(ValueError, match=re.escape(f"{kinds} {str(path)!r}")) as caught:
        choose_zoom(32, str(path))
    assert "\n" not in str(caught.value)

    message = (
        f"saliency must be spectral, uniform, boxes or a file of weights that exists, got {str(tmp_path / 'none.pt')!r} – write one "
        "with torch.save(zoom.state_dict(), path)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        choose_zoom(32, str(tmp_path / "none.pt"))


def test_a_map_of_each_sample(tmp_path, monkeypatch):
    """``--saliency-member`` draws the zoom by that map; together with another source it is an error."""
    drawn = []
    monkeypatch.setattr("foveal.tools._view.draw_sheet", lambda rows, _: drawn.extend(rows))
    maps = [[0.0] * 8 for _ in range(8)]
    maps[5][2] = 1.0
    with ShardWriter(tmp_path / "s.tar") as writer:
        writer.write({"__key__": "0", "jpg": encode(picture(0, 80, 100)), "json": {"gaze": maps}})
    words = ["view", tmp_path / "s.tar", "--saliency-member", "json:gaze", "--out-size", 32]
    done = command_line.run(*words)
    assert done.exit_code == 0, done.exception
    [row] = drawn

    peak = np.unravel_index(row.saliency.argmax(), row.saliency.shape)
    assert np.abs(np.array(peak) / 30 - (5.5 / 8, 2.5 / 8)).max() < 0.05


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet"])
def test_a_picture_that_is_no_png(shard, tmp_path, name):
    """A name of another format is refused, as the picture would not be what it says."""
    message = (
        f"out must be a file with the extension .png, got {str(tmp_path / name)!r} – the picture is a PNG."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        view_shards([shard], SaliencySampler(16), out=tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_shard_without_samples(tmp_path):
    """There is nothing to draw of an empty shard, and the message says so."""
    with ShardWriter(tmp_path / "empty.tar"):
        pass
    with pytest.raises(ShardError, match=r"empty\.tar: has no samples"):
        view_shards([str(tmp_path / "empty.tar")], SaliencySampler(16), out=tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("saliency", "advice", "option"), [("boxes", "add", "--boxes"), ("map", "give", "--saliency-member")]
)
def test_saliency_that_needs_more(shard, tmp_path, saliency, advice, option):
    """Without boxes, or a map, the message names the option."""
    run = command_line.run("view", shard, "--saliency", saliency, "--out", tmp_path / "sheet.png")

    assert f"got none – {advice} {option} " in str(run.exception)
