import re
import textwrap
import typing

import numpy as np
import pytest
import torch
from PIL import Image

import foveal.sampler
from foveal.sampler import PatchSampler, SaliencySampler, SpectralSaliency
from foveal.shards import ShardWarning, ShardWriter
from foveal.tools.console.choices import DemoZoomName
from foveal.tools.demo import demo
from foveal.tools.demo.demo import ZOOMS, run_demo
from foveal.tools.pictures.patch_frames import patch_frames
from foveal.tools.pictures.patch_row import frames_side_by_side, side_by_side
from foveal.tools.scenes.scenes import draw_scene
from tests.pipeline.making import encode


def picture_size(path):
    with Image.open(path) as picture:
        return picture.size


def test_demo_on_its_own_scenes(tmp_path, capsys):
    """Without shards it draws scenes, zooms all of them, prints the speed, and saves a picture."""
    path = run_demo([], out=tmp_path, out_size=32, batch_size=2, scenes=3, rows=2)

    printed = capsys.readouterr().out
    assert path == tmp_path / "sheet.png"
    assert picture_size(path) == (1600, 52 + 2 * 342)
    assert "3 samples in 1 shard," in printed
    assert "(2, 3, 32, 32) float32, (2,) int64" in printed
    assert "images/s" in printed
    assert (tmp_path / "shards" / "scenes-000000.tar").exists()


def test_the_loop_that_is_shown_runs(tmp_path, capsys):
    """The printed code, run as it is, loads all scenes of the demo."""
    run_demo([], out=tmp_path, out_size=32, batch_size=2, scenes=3, rows=2)
    code = re.search(
        r"    from foveal.pipeline.*?\n\n(?=The first batch)", capsys.readouterr().out, re.DOTALL
    )[0]
    names = {}
    exec(compile(textwrap.dedent(code), "demo", "exec"), names)

    assert names["images"].shape == (1, 3, 32, 32)  # 3 scenes in batches of 2 leave 1
    assert names["labels"].shape == (1,)


def test_demo_on_shards_without_labels(tmp_path, capsys):
    """A user's shards need images only; with fewer samples the picture is shorter."""
    with ShardWriter(tmp_path / "own.tar") as writer:
        writer.write({"__key__": "only", "jpg": encode(draw_scene(0, size=(90, 60)).image)})

    path = run_demo([str(tmp_path / "own.tar")], out=tmp_path / "out", out_size=32)

    printed = capsys.readouterr().out
    assert picture_size(path) == (1600, 52 + 342)
    assert "(1, 3, 32, 32) float32, 1 str" in printed


def test_demo_with_a_bad_sample(tmp_path, monkeypatch):
    """In the place of a bad sample the sheet shows its substitute, beside that one's own original."""
    with ShardWriter(tmp_path / "own.tar") as writer:
        for k in range(12):
            image = b"no image" if k == 0 else encode(draw_scene(k, size=(60 + 2 * k, 60)).image)
            writer.write({"__key__": f"{k}", "jpg": image})
    drawn = []
    monkeypatch.setattr(demo, "draw_sheet", lambda rows, path, titles: drawn.extend(rows))

    with pytest.warns(ShardWarning, match=r"own\.tar: 0: image"):
        run_demo([str(tmp_path / "own.tar")], out=tmp_path / "out", out_size=32, rows=2)

    substitute, last = drawn
    assert last.caption.startswith("11 ")
    number = int(substitute.caption.split()[0])
    assert 0 < number < 12
    assert substitute.original.shape == (60, 60 + 2 * number, 3)


def test_demo_of_patches(tmp_path, capsys):
    """The demo of patches shows four patches of half the size."""
    path = run_demo([], out=tmp_path, zoom="patches", out_size=32, batch_size=2, scenes=2, rows=2)

    assert picture_size(path) == (1600, 52 + 2 * 342)
    assert "(2, 4, 3, 16, 16) float32, (2,) int64" in capsys.readouterr().out


@pytest.mark.parametrize("name", ZOOMS)
def test_the_code_that_is_shown_makes_the_zoom_that_runs(name):
    """The printed code makes the zoom that runs."""
    shown = ZOOMS[name]
    names = {imported: getattr(foveal.sampler, imported) for imported in shown.names.split(", ")}

    assert repr(eval(shown.code(64), names)) == repr(shown.build(64))


def test_every_zoom_of_the_demo_is_an_option():
    """Each zoom of the demo is a choice on the command line."""
    assert set(typing.get_args(DemoZoomName)) == set(ZOOMS)


def test_frames_are_where_the_patches_were_cut():
    """The pixels inside a frame on the original are those of its patch."""
    image = torch.randint(0, 256, (200, 230, 3), dtype=torch.uint8)
    patches, grid, _ = PatchSampler(3, 20, score=SpectralSaliency((5, 5), frame="cells"))([image])
    picture = side_by_side(patches[0])

    assert picture.shape == (40, 40, 3)
    pairs = zip(patch_frames(grid[0], (200, 230)), frames_side_by_side(3, 20), strict=True)
    for (x0, y0, x1, y1), (u0, v0, u1, v1) in (np.round(pair).astype(int) for pair in pairs):
        inside = image[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].numpy() / 255
        assert np.abs(inside - picture[v0:v1, u0:u1]).max() < 1e-6


@pytest.mark.slow
def test_demo_on_photographs(tmp_path, data_dir):
    """Real photographs, some rotated by EXIF, make a picture."""
    path = run_demo([str(data_dir / "coins" / "coins-*.tar")], out=tmp_path)

    assert path.stat().st_size > 100_000


def test_the_demo_finds_the_sign():
    """In every scene, the most salient cell of the parameter-free map is at the sign."""
    zoom = SaliencySampler(224, saliency=SpectralSaliency())
    for scene in map(draw_scene, range(6)):
        [saliency] = zoom([torch.from_numpy(scene.image)]).saliency[:, 0]
        found = np.array(np.unravel_index(int(saliency.argmax()), saliency.shape))[::-1]
        middle = (np.array(scene.box[:2]) + scene.box[2:]) / 2

        assert np.abs(found + 0.5 - middle / scene.image.shape[1::-1] * saliency.shape[::-1]).max() < 1.5
