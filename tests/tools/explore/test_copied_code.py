"""The code that is copied from the page of foveal explore gives what the page shows."""

import io
import math
import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from foveal.sampler import BoxSaliency, SaliencySampler
from foveal.shards import Shards, ShardWriter
from foveal.tools.explore._looker import Looker
from foveal.tools.explore._settings import Settings, Source
from foveal.tools.pictures.magnification import magnification
from foveal.tools.pictures.view_row import view_row
from tests.pipeline.making import encode, picture
from tests.tools import command_line
from tests.tools.explore.explored import delivered

plots = pytest.importorskip("matplotlib", reason="no matplotlib: pip install '.[plots]'")
any_settings = st.builds(
    Settings,
    saliency=st.sampled_from(["spectral", "boxes", "map", "checkpoint", "uniform"]),
    family=st.sampled_from(["kernel", "separable", "cdf"]),
    temperature=st.sampled_from([0.2, 0.5, 1.0]),
    fwhm_cells=st.sampled_from([4.0, 8.0]),
    max_zoom=st.sampled_from([math.inf, 2.0, 4.0]),
    min_zoom=st.sampled_from([0.0, 0.5]),
    size=st.sampled_from([32, 48]),
    hflip=st.sampled_from([0.0, 0.5]),
    rotate_deg=st.sampled_from([0.0, 10.0]),
    crop_least=st.sampled_from([1.0, 0.5]),
    epoch=st.integers(0, 3),
)


def test_images_as_they_are_stored(tmp_path, monkeypatch):
    """The member, window and bands that the command names are those of the page, of its Python and of its command."""
    monkeypatch.chdir(tmp_path)
    deep = np.random.default_rng(0).integers(-100, 300, (40, 50, 3)).astype(np.int16)
    np.save(file := io.BytesIO(), deep)
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "0", "scan.npy": file.getvalue()})
    served = []
    monkeypatch.setattr("foveal.tools.explore.serve.serve", lambda source, **_: served.append(source))
    words = ["--image", "scan.npy", "--window", "-100:300", "--bands", "2,1,0"]
    done = command_line.run("explore", tmp_path / "a.tar", *words, "--no-open")
    assert done.exit_code == 0, done.exception
    [source] = served
    chosen = Settings(size=32)
    look, names = Looker(source).look(0, chosen), {}
    exec(compile(chosen.python(source), "page", "exec"), names)
    with names["loader"] as loader:
        [(images,)] = list(loader)

    assert np.abs(look.original.image.numpy() - (deep[..., ::-1] + 100) / 400 * 255).max() <= 0.5
    assert torch.equal(images[0], look.zoomed)
    assert " ".join(words[:2]) in chosen.command(source)
    assert "--window -100.0:300.0 --bands 2,1,0" in chosen.command(source)


@settings(max_examples=6)
@given(chosen=any_settings, number=st.integers(0, 2))
def test_the_python_gives_the_picture_to_the_bit(source, chosen, number):
    """The copied script's loader delivers bit-identical pixels."""
    look = Looker(source).look(number, chosen)

    assert torch.equal(delivered(chosen.python(source), number), look.zoomed)


def test_a_trained_zoom_looks_at_its_own_boxes(tmp_path):
    """A file whose saliency reads boxes shows the loader's images, also if no boxes are named for drawing."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        image = encode(picture(0, 200, 300))
        writer.write({"__key__": "0", "jpg": image, "json": {"boxes": [[150, 100, 260, 140]]}})
    SaliencySampler(32, saliency=BoxSaliency("json:boxes")).save_checkpoint(tmp_path / "zoom.pt")
    source = Source((str(tmp_path / "a.tar"),), checkpoint=tmp_path / "zoom.pt")
    chosen = Settings(saliency="checkpoint", size=32, **source.settings_of("checkpoint"))
    zoomed = delivered(chosen.python(source), 0)
    row = view_row(Shards(source.urls), 0, SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").eval(), None)

    assert torch.equal(Looker(source).look(0, chosen).zoomed, zoomed)
    assert magnification(row.grid) > 1.5
    assert len(row.boxes) == 0


def test_boxes_in_another_format(tmp_path):
    """The script reads the boxes as the page does, if the command line says what their numbers are."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        image = encode(picture(0, 200, 300))
        writer.write({"__key__": "0", "jpg": image, "json": {"boxes": [[150, 100, 60, 40]]}})
    source = Source((str(tmp_path / "a.tar"),), boxes="json:boxes", box_format="xywh", box_frame="pixel")
    chosen = Settings(saliency="boxes", size=32)

    assert torch.equal(delivered(chosen.python(source), 0), Looker(source).look(0, chosen).zoomed)


@pytest.mark.parametrize("saliency", ["spectral", "boxes", "map", "checkpoint", "uniform"])
def test_the_command_gives_the_picture(source, saliency, tmp_path, monkeypatch):
    """The copied ``foveal zoom`` command writes the pixels of the page, rounded to 256 levels."""
    monkeypatch.chdir(tmp_path)
    chosen = Settings(saliency=saliency, size=48, max_zoom=3.0)
    done = command_line.run(*shlex.split(chosen.command(source))[1:], "--max-bad-fraction", 1)
    assert done.exit_code == 0, done.output
    members = Shards("zoomed/*.tar")[1].members
    written = np.asarray(Image.open(io.BytesIO(next(v for k, v in members.items() if k in ("png", "jpg")))))
    shown = Looker(source).look(1, chosen).zoomed.permute(1, 2, 0).numpy() * 255

    assert np.abs(written - shown).max() <= 0.5 + 1e-3


def test_augmented_images_have_no_command(source):
    """With augmentation no command is shown, because ``foveal zoom`` does not augment."""
    assert replace(Settings(), hflip=0.5).command(source) is None
