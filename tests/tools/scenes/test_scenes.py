import io
import itertools
import json
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from foveal.shards import Shards, ShardWriter
from foveal.tools.scenes.scenes import SIZES, draw_scene, write_scenes, write_shards


def saturation(image):
    return np.ptp(image.astype(int), axis=-1)


def spectral_slope(grey):
    """Return the exponent of the radially averaged power spectrum between 4 and 100 cycles per image."""
    window = np.outer(*(np.hanning(side) for side in grey.shape))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    cycles = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side, 1 / side) for side in grey.shape), indexing="ij"))
    edges = np.geomspace(4, 100, 12)
    means = [power[(cycles >= low) & (cycles < high)].mean() for low, high in itertools.pairwise(edges)]
    return np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(means), 1)[0]


@pytest.fixture(scope="module")
def scene():
    return draw_scene(0)


def test_same_number_same_scene(scene):
    """A scene depends on its number and the seed only."""
    again = draw_scene(0)

    assert np.array_equal(again.image, scene.image)
    assert (again.label, again.box) == (scene.label, scene.box)
    assert not np.array_equal(draw_scene(0, seed=1).image, scene.image)
    assert not np.array_equal(draw_scene(len(SIZES)).image, scene.image)


@pytest.mark.parametrize("size", SIZES)
def test_two_megapixels_or_more(size):
    """Every scene has the size of a photograph."""
    assert size[0] * size[1] >= 2_000_000


def test_image_has_the_size_asked_for():
    """Sizes are (width, height), as in Pillow."""
    assert draw_scene(0, size=(320, 200)).image.shape == (200, 320, 3)


@pytest.mark.parametrize("index", range(6))
def test_only_the_box_is_colourful(index):
    """The sign is inside its small box, and nothing around it is as saturated."""
    scene = draw_scene(index)
    x0, y0, x1, y1 = scene.box
    height, width, _ = scene.image.shape
    colour = saturation(scene.image)
    inside = colour[y0:y1, x0:x1].mean()
    colour[y0:y1, x0:x1] = 0

    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert 0.018 * width < x1 - x0 < 0.04 * width
    assert inside > 1.5 * np.quantile(colour, 0.999)


def test_labels_vary():
    """Most digits occur soon, and nothing else."""
    labels = {draw_scene(index, size=(96, 64)).label for index in range(30)}

    assert labels <= set(range(10))
    assert len(labels) >= 8


def test_power_falls_as_in_photographs(scene):
    """The spectrum falls roughly as f^-2; that of noise does not."""
    noise = np.random.default_rng(0).standard_normal((512, 512))

    assert -2.6 < spectral_slope(scene.image.mean(-1)) < -1.4
    assert abs(spectral_slope(noise)) < 0.3


def test_shard_holds_what_was_drawn(tmp_path):
    """Samples have the scene as JPEG, its digit, and its box."""
    write_scenes(tmp_path / "scenes.tar", [3, 5])

    samples = list(Shards(str(tmp_path / "scenes.tar")))
    scene = draw_scene(5)
    image = Image.open(io.BytesIO(samples[1].members["jpg"]))
    assert [sample.key for sample in samples] == ["scene-000003", "scene-000005"]
    assert (image.height, image.width, 3) == scene.image.shape
    assert np.abs(np.asarray(image).astype(int) - scene.image).mean() < 4
    assert samples[1].members["cls"] == str(scene.label).encode()
    assert json.loads(samples[1].members["json"]) == {"boxes": [list(scene.box)], "labels": [scene.label]}


def test_shards_that_are_there_stay(tmp_path):
    """A second call writes only missing shards, with the same scenes."""
    paths = write_shards(tmp_path, 3, console=Console(), per_shard=2)
    first, second = (path.read_bytes() for path in sorted(tmp_path.glob("*.tar")))
    with ShardWriter(tmp_path / "scenes-000000.tar") as writer:
        for key in "ab":
            writer.write({"__key__": key, "cls": 0})
    kept = (tmp_path / "scenes-000000.tar").read_bytes()
    (tmp_path / "scenes-000001.tar").unlink()

    assert write_shards(tmp_path, 3, console=Console(), per_shard=2) == paths
    assert len(paths) == 2
    assert (tmp_path / "scenes-000000.tar").read_bytes() == kept != first
    assert (tmp_path / "scenes-000001.tar").read_bytes() == second


def test_a_shard_of_fewer_scenes_is_written_anew(tmp_path):
    """A call for more scenes than an earlier one, or for fewer, gives as many as it asks for; a damaged shard is replaced."""
    for count in (3, 5, 4):
        assert len(Shards(write_shards(tmp_path, count, console=Console(), per_shard=2))) == count
    (tmp_path / "scenes-000000.tar").write_bytes(b"no tar")
    assert len(Shards(write_shards(tmp_path, 4, console=Console(), per_shard=2))) == 4


def test_a_scene_is_large_enough_for_its_digit():
    """The smallest scenes are drawn, and smaller ones are refused."""
    assert draw_scene(0, size=(24, 24)).image.shape == (24, 24, 3)
    with pytest.raises(ValueError, match=re.escape("size must be at least 24 × 24 pixels, got (24, 16).")):
        draw_scene(0, size=(24, 16))
