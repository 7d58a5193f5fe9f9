"""The page of foveal explore shows what a loader delivers, and its code gives the same."""

import base64
import io
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from foveal.sampler import BoxSaliency, SaliencyNet, SaliencySampler
from foveal.shards import ShardError, Shards, ShardWriter
from foveal.tools.explore._looker import Looker
from foveal.tools.explore._settings import Settings, Source
from foveal.tools.pictures.sheet import magnification
from foveal.tools.pictures.view_row import view_row
from tests.pipeline.making import encode, picture
from tests.tools import command_line

plots = pytest.importorskip("matplotlib", reason="no matplotlib: pip install '.[plots]'")


def attention(k):
    """Return a map of ones with a bright cell, as an encoded array."""
    cells = np.ones((5, 7), np.float32)
    cells[1 + k, 2] = 20
    np.save(file := io.BytesIO(), cells)
    return file.getvalue()


def write(folder, damaged):
    """Write three pictures with boxes, if wanted a damaged fourth, and a checkpoint."""
    with ShardWriter(folder / "a.tar") as writer:
        for k in range(3 + damaged):
            image = encode(picture(k, 200 + 10 * k, 300))
            boxes = {"boxes": [[20, 30, 90 + k, 120]]}
            sample = {"__key__": f"{k}", "jpg": image if k < 3 else image[:40], "json": boxes}
            writer.write({**sample, "attention.npy": attention(k)})
    path = folder / "zoom.pt"
    SaliencySampler(
        64,
        saliency=SaliencyNet(contrast=0.5),
        temperature=0.3,
        max_zoom=3.0,
        min_zoom=0.4,
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
    ).save_checkpoint(path)
    return Source(
        (str(folder / "a.tar"),), boxes="json:boxes", checkpoint=path, saliency_member="attention.npy"
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a source of good samples."""
    return write(tmp_path_factory.mktemp("explore"), damaged=False)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Return a source whose last sample is damaged."""
    return write(tmp_path_factory.mktemp("explore"), damaged=True)


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


@settings(max_examples=6)
@given(chosen=any_settings, number=st.integers(0, 2))
def test_the_python_gives_the_picture_to_the_bit(source, chosen, number):
    """The copied script's loader delivers bit-identical pixels."""
    look = Looker(source).look(number, chosen)

    assert torch.equal(delivered(chosen.python(source), number), look.zoomed)


def delivered(script, number):
    """The image of a sample that the loader of a script delivers."""
    names = {}
    exec(compile(script, "page", "exec"), names)
    with names["loader"] as loader:
        images, *_ = next(islice(loader, number, None))
        return images[0]


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


def test_a_checkpoint_brings_its_settings(source):
    """What was trained is shown as it was trained, until a slider is moved."""
    trained = Settings(saliency="checkpoint", size=64, **source.settings_of("checkpoint"))
    look = Looker(source).look(0, trained)
    zoom = SaliencySampler.from_checkpoint(source.checkpoint, mean=None, std=None).eval()

    assert (trained.temperature, trained.max_zoom, trained.min_zoom) == (0.3, 3.0, 0.4)
    assert torch.equal(zoom([look.original.image]).images[0], look.zoomed)
    assert source.settings_of("spectral") == {}


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


def test_augmented_images_have_no_command(source):
    """With augmentation no command is shown, because ``foveal zoom`` does not augment."""
    assert replace(Settings(), hflip=0.5).command(source) is None


@pytest.fixture
def page(damaged):
    """Return the address of a running ``foveal explore``."""
    pytest.importorskip("nicegui", reason="no NiceGUI: pip install '.[explore]'")
    port = 20000 + os.getpid() % 20000
    command = [sys.executable, "-m", "foveal.tools", "explore", *damaged.urls, "--boxes", "json:boxes"]
    command += [
        "--saliency-member",
        "attention.npy",
        "--saliency",
        str(damaged.checkpoint),
        "--no-open",
        "--port",
        str(port),
    ]
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }  # NiceGUI looks
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=plain) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(240):
                assert server.poll() is None, server.stdout.read()
                try:
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                except (urllib.error.URLError, TimeoutError):
                    time.sleep(0.5)
            yield address
        finally:
            server.kill()


@pytest.mark.slow
def test_nothing_else_is_served(page):
    """Requests for another host name are refused, and no URL serves files of this machine."""

    def status(path, host=None):
        request = urllib.request.Request(page + path, headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    assert status("/") == 200
    assert status("/", host="elsewhere.example") == 400
    assert status("/etc/passwd") == 404
    assert status("/..%2f..%2fetc%2fpasswd") == 404


@pytest.fixture
def browser():
    """A headless Chromium, 1280 pixels wide."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    from selenium.webdriver.chrome.service import Service as ChromeService

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(flag)
    found = [shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")]
    if None in found:
        pytest.skip("no Chromium with its driver: install chromium and chromium-driver")
    options.binary_location = found[1]
    with webdriver.Chrome(options=options, service=ChromeService(found[0])) as browser:
        yield browser


def shown(address):
    """The picture of a data URL."""
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2]))).convert("RGB")


@pytest.mark.slow
def test_in_a_browser(page, browser, damaged):
    """The page loads; a slider and a source of saliency change the picture, which the copied script gives to the bit."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(browser, 120, ignored_exceptions=[Exception])

    def until(condition):
        return wait.until(lambda _: condition())

    def picture():
        return browser.find_elements(By.TAG_NAME, "img")[3]

    def zoomed():
        return picture().get_attribute("src")

    def text():
        return browser.find_element(By.TAG_NAME, "body").text

    browser.get(page)
    until(lambda: zoomed().startswith("data:image/png"))
    first = zoomed()
    assert "Sample 0 of 4: 0, 300 × 200 pixels, 1 of 1 boxes" in text()
    assert "temperature=0.3" in text()  # as the checkpoint says

    slider = browser.find_element(By.CSS_SELECTOR, '[data-setting="temperature"]')
    ActionChains(browser).move_to_element_with_offset(slider, slider.size["width"] // 3, 0).click().perform()
    until(lambda: zoomed() != first)
    until(lambda: "temperature=0.3," not in text())
    before = zoomed()

    browser.find_element(By.CSS_SELECTOR, ".q-select").click()
    offered = until(lambda: browser.find_elements(By.CSS_SELECTOR, ".q-menu .q-item"))
    assert [each.text for each in offered] == ["spectral", "boxes", "map", "checkpoint", "uniform"]
    offered[2].click()
    until(lambda: "MapSaliency('attention.npy')" in text())
    until(lambda: zoomed() != before)
    time.sleep(1)
    script = browser.find_element(By.CSS_SELECTOR, ".nicegui-code code").text
    pixels = (delivered(script, 0).permute(1, 2, 0).numpy() * 255).round()
    differs = (np.asarray(shown(zoomed())) != pixels).any(-1)
    rows, cols = differs.nonzero()
    assert 0 < differs.sum() < 0.1 * differs.size  # the frame of the box, and nothing inside it or beyond
    assert not differs[rows.min() + 2 : rows.max() - 1, cols.min() + 2 : cols.max() - 1].any()

    ActionChains(browser).move_to_element(picture()).perform()
    until(lambda: re.search(r"Pixel \(\d+, \d+\) shows [\d.]+ × [\d.]+ pixels of the original", text()))

    number = browser.find_element(By.CSS_SELECTOR, 'input[type="number"]')
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("3", Keys.TAB)
    until(lambda: "Sample 3 of 4" in text())
    assert "a.tar: 3: image is broken" in text()


@pytest.mark.slow
def test_on_a_narrow_screen(page, browser):
    """At 400 pixels nothing is cut off at the side, and the pictures stand above the sliders."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    size = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page)
    WebDriverWait(browser, 120, ignored_exceptions=[Exception]).until(
        lambda _: (
            browser.find_elements(By.TAG_NAME, "img")[3].get_attribute("src").startswith("data:image/png")
        )
    )

    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    slider = browser.find_element(By.CSS_SELECTOR, '[data-setting="temperature"]')
    assert browser.find_elements(By.TAG_NAME, "img")[3].location["y"] < slider.location["y"]


def test_an_address_that_is_taken(tmp_path, capsys):
    """A port that another program listens on is an error, and no address of the page is printed."""
    with ShardWriter(tmp_path / "s.tar") as writer:
        writer.write({"__key__": "0", "jpg": encode(picture(0, 60, 80))})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = command_line.run("explore", tmp_path / "s.tar", "--port", port)

    assert isinstance(failed.exception, OSError)
    assert str(failed.exception).startswith(
        f"host and port must be free to listen on, got 127.0.0.1:{port}: "
    )
    assert "The page" not in failed.output
