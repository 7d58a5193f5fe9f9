import numpy as np
import pytest
import torch
from PIL import Image

from foveal.sampler import SaliencySampler, SpectralSaliency
from foveal.shards import ShardWriter
from foveal.tools._demo import run_demo
from foveal.tools._scenes import _as_sample, draw_scene


def picture_size(path):
    with Image.open(path) as picture:
        return picture.size


def test_demo_on_its_own_scenes(tmp_path, capsys):
    """Without shards it draws some, zooms all of them, says how fast, and leaves a picture."""
    path = run_demo([], out=tmp_path, size=32, batch_size=2, scenes=3, rows=2)

    printed = capsys.readouterr().out
    assert path == tmp_path / "sheet.png"
    assert picture_size(path) == (1600, 52 + 2 * 342)
    assert "3 samples in 1 shards" in printed
    assert "(2, 3, 32, 32) float32, (2,) int64" in printed
    assert "images/s" in printed
    assert (tmp_path / "shards" / "scenes-000000.tar").exists()


def test_demo_on_shards_without_labels(tmp_path, capsys):
    """A user's shards need images and nothing else; fewer samples make a shorter sheet."""
    with ShardWriter(tmp_path / "own.tar") as writer:
        writer.write({"__key__": "only", "jpg": _as_sample(0, draw_scene(0, size=(90, 60)))["jpg"]})

    path = run_demo([str(tmp_path / "own.tar")], out=tmp_path / "out", size=32)

    printed = capsys.readouterr().out
    assert picture_size(path) == (1600, 52 + 342)
    assert "(1, 3, 32, 32) float32, 1 str" in printed


@pytest.mark.slow
def test_demo_on_photographs(tmp_path, data_dir):
    """Real photographs, some of them upright by EXIF alone, make a sheet."""
    path = run_demo([str(data_dir / "coins" / "coins-*.tar")], out=tmp_path)

    assert path.stat().st_size > 100_000


def test_the_demo_finds_the_sign():
    """The most salient cell of the parameter-free map is at the sign, in every scene."""
    zoom = SaliencySampler(224, saliency=SpectralSaliency())
    for scene in map(draw_scene, range(6)):
        [saliency] = zoom([torch.from_numpy(scene.image)]).saliency[:, 0]
        found = np.array(np.unravel_index(int(saliency.argmax()), saliency.shape))[::-1]
        middle = (np.array(scene.box[:2]) + scene.box[2:]) / 2

        assert np.abs(found + 0.5 - middle / scene.image.shape[1::-1] * saliency.shape[::-1]).max() < 1.5
