"""foveal explore looks at a sample with the settings of the page."""

import re

import pytest
import torch
from rich.console import Console

from foveal.sampler import SaliencySampler
from foveal.shards import ShardError
from foveal.tools.explore._looker import Looker
from foveal.tools.explore._settings import Settings, Source
from tests.tools import command_line

plots = pytest.importorskip("matplotlib", reason="no matplotlib: pip install '.[plots]'")


def test_explore_reads_from_the_store(far_options, monkeypatch):
    """The page shows a sample; the code on it leaves a gap for what may be secret."""
    served = []
    monkeypatch.setattr("foveal.tools.explore.serve.serve", lambda source, **_: served.append(source))
    found = command_line.run("explore", "s3://tools/*.tar", "--storage-options", far_options, "--no-open")
    assert found.exit_code == 0, found.exception
    [source] = served

    assert Looker(source).look(1, Settings(size=32)).original.key == "1"
    for shown in (Settings().python(source), Settings().command(source)):
        assert "secret" not in shown
        assert "storage" in shown


def test_a_checkpoint_brings_its_settings(source):
    """What was trained is shown as it was trained, until a slider is moved."""
    trained = Settings(saliency="checkpoint", size=64, **source.settings_of("checkpoint"))
    look = Looker(source).look(0, trained)
    zoom = SaliencySampler.from_checkpoint(source.checkpoint, mean=None, std=None).eval()

    assert (trained.temperature, trained.max_zoom, trained.min_zoom) == (0.3, 3.0, 0.4)
    assert torch.equal(zoom([look.original.image]).images[0], look.zoomed)
    assert source.settings_of("spectral") == {}


def test_a_checkpoint_that_diverged(source):
    """Its weights are named, and the sample."""
    zoom = SaliencySampler.from_checkpoint(source.checkpoint)
    with torch.no_grad():
        next(zoom.parameters()).fill_(torch.nan)
    zoom.save_checkpoint(source.checkpoint)
    trained = Settings(saliency="checkpoint", size=64, **source.settings_of("checkpoint"))
    with pytest.raises(ValueError, match=r"^saliency must be finite, got NaN .* SaliencyNet for 1 –"):
        Looker(source).look(1, trained)


def test_a_source_of_saliency_that_is_not_there(source):
    """Boxes cannot be chosen without saying where they are."""
    serve = pytest.importorskip(
        "foveal.tools.explore.serve", reason="no NiceGUI: pip install '.[explore]'"
    ).serve
    plain = Source(source.urls)

    with pytest.raises(
        ValueError,
        match=re.escape(
            "saliency must be one of spectral, uniform, or a file, got 'boxes' – boxes needs --boxes, and map --saliency-member."
        ),
    ):
        serve(plain, saliency="boxes", host="127.0.0.1", port=1, open_browser=False, console=Console())


def test_what_a_pixel_shows(source):
    """For a uniform resize, a pixel shows as many original pixels as the size ratio says."""
    look = Looker(source).look(0, Settings(saliency="uniform", size=50))

    for place in ((20, 20), (0, 0), (49, 49), (0, 49)):
        assert look.source_px_at(*place) == pytest.approx((6.0, 4.0), rel=1e-4)


def test_a_bad_sample_has_its_reason(damaged):
    """An image that cannot be decoded is an error that names the sample."""
    looker = Looker(damaged)

    with pytest.raises(ShardError, match=r"a\.tar: 3: image is broken"):
        looker.look(3, Settings())
    assert looker.look(0, Settings()).original.key == "0"


def test_a_number_beyond_the_samples(source):
    """A sample number out of range is refused."""
    with pytest.raises(ValueError, match=re.escape("number must be in [0, 3), got 3.")):
        Looker(source).look(3, Settings())
