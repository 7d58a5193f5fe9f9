"""The page of foveal explore, as it is served and as a browser shows it."""

import base64
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture
from tests.tools import command_line
from tests.tools.explore.explored import delivered

plots = pytest.importorskip("matplotlib", reason="no matplotlib: pip install '.[plots]'")


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


@pytest.mark.slow
def test_before_the_first_picture(page):
    """As it is served, the page says which sample it shows and that it is drawing."""
    with urllib.request.urlopen(page, timeout=10) as answer:
        served = answer.read().decode()

    assert "Sample 0 of 4" in served
    assert "Drawing …" in served or "Drawing \\u2026" in served


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
