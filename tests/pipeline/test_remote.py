"""Epochs over a web server that fails are equal to those over local files."""

import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler
from foveal.shards import ShardError, Shards
from tests.pipeline.making import encode, picture
from tests.pipeline.processes import HEAD, foveal_threads
from tests.shards import server as web
from tests.shards.remote.hurrying import hurry
from tests.shards.server import FAULTS, Files, serving

SAMPLES = 40
CACHES = pytest.mark.parametrize("cache_size", [None, "1MB"], ids=["ranges", "copies"])


@pytest.fixture(autouse=True)
def _hasty(monkeypatch, tmp_path):
    """Retry after milliseconds, make slow responses take a twentieth of a second, and use a cache of the test's own."""
    hurry(monkeypatch)
    monkeypatch.setattr(web, "SLOW", 0.05)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def local(write_shard) -> list[str]:
    """Return four shards of ten small pictures, one of which is damaged."""
    made = [
        {"__key__": f"{k:02d}", "jpg": encode(picture(k, 30 + k, 40)) if k != 17 else b"junk", "cls": k}
        for k in range(SAMPLES)
    ]
    return [write_shard(made[first : first + 10], f"{first}.tar") for first in range(0, SAMPLES, 10)]


@pytest.fixture
def server(local):
    with serving(Files({f"/{Path(path).name}": Path(path).read_bytes() for path in local})) as server:
        yield server


def on(server, local: list[str]) -> list[str]:
    return [f"{server.url}/{Path(path).name}" for path in local]


def loader(urls, **options) -> ZoomLoader:
    torch.manual_seed(0)
    zoom = SaliencySampler(8).requires_grad_(False)
    fields = ("image", "cls", "__key__", "__valid__")
    return ZoomLoader(urls, zoom, batch_size=7, fields=fields, shuffle=True, seed=2, **options)


def epoch(batches) -> list[tuple]:
    return [
        (key, label, valid, image)
        for images, labels, keys, are_valid in batches
        for key, label, valid, image in zip(keys, labels.tolist(), are_valid.tolist(), images, strict=True)
    ]


def equal(ours: list[tuple], theirs: list[tuple]) -> bool:
    return len(ours) == len(theirs) and all(
        a[:3] == b[:3] and torch.equal(a[3], b[3]) for a, b in zip(ours, theirs, strict=True)
    )


class Gate:
    """A site that does not respond while it is shut."""

    def __init__(self, site):
        self.site, self.asked, self.answered = site, [], []
        self.open, self.shut_after = threading.Event(), None
        self.open.set()

    def __call__(self, *request):
        self.asked.append(request)
        if len(self.asked) - 1 == self.shut_after:
            self.open.clear()
        self.open.wait(60)
        self.answered.append(request)
        return self.site(*request)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.asked) < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def gate(server):
    gate = server.site = Gate(server.site)
    yield gate
    gate.open.set()


def some_faults(seed: int) -> list[str | None]:
    """Return faults for one request in three, of every kind."""
    chance = random.Random(seed)
    return [chance.choice(FAULTS) if chance.random() < 1 / 3 else None for _ in range(2000)]


@CACHES
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_an_epoch_under_faults_is_the_local_one(local, server, cache_size, seed, monkeypatch):
    """Keys, labels, substitutes and pixels are the same over two epochs and after resuming."""
    with loader(local) as one:
        expected = epoch(one), epoch(one)
    hurry(monkeypatch, attempts=30)  # one in three fails: six in a row do happen
    server.faults = some_faults(seed)
    with loader(on(server, local), cache_size=cache_size) as one:
        assert equal(epoch(one), expected[0])
        batches = iter(one)
        begun = epoch(next(batches) for _ in range(2))
        state = one.state_dict()
    with loader(on(server, local), cache_size=cache_size) as one:
        one.load_state_dict(state)
        assert equal(begun + epoch(one), expected[1])
    failed = len(server.requests) - sum(request.status in (200, 206) for request in server.requests)
    assert failed > 3


def test_the_comparison_can_fail(local):
    """The comparison notices another seed, a missing sample and one changed pixel."""
    with loader(local[:1]) as one:
        ours = epoch(one)
    assert equal(ours, list(ours))
    assert not equal(ours, ours[:-1])
    assert not equal(ours, [ours[1], ours[0], *ours[2:]])
    changed = ours[0][3].clone()
    changed[0, 0, 0] += 0.1
    assert not equal(ours, [(*ours[0][:3], changed), *ours[1:]])


@CACHES
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_a_server_that_stays_down(local, server, cache_size):
    """The error says what was tried, and when the server is back the loader resumes from its state."""
    with loader(local) as one:
        expected = epoch(one)
    with loader(on(server, local), cache_size=cache_size) as one:
        assert len(one._shards) == SAMPLES
        server.faults = [None] * (12 if cache_size is None else 2) + ["503"] * 10_000
        batches = iter(one)
        place = re.escape(server.url) + r"/\d+\.tar: "
        reason = r"cannot be read in 6 attempts: HTTP 503 .* \(6 times\): try again when the server is well$"
        with pytest.raises(ShardError, match=f"^{place}.*{reason}"):
            epoch(batches)
        assert next(batches, None) is None
        assert one.epoch == 0
        assert foveal_threads() == []
        assert {bad.key for bad in one.bad_samples} <= {"17"}

        server.faults = []
        had = one.state_dict()["position"]
        one.load_state_dict(one.state_dict())
        assert equal(expected[:had] + epoch(one), expected)


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_closing_waits_for_no_answer(local, server, gate, trains):
    """A break ends while every thread waits for a response, and the next epoch is complete."""
    with loader(on(server, local)) as one:
        one.zoom.requires_grad_(trains)
        for _ in range(3):
            gate.open.clear()
            gate.asked.clear()
            gate.answered.clear()
            batches = iter(one)
            gate.wait_for(32)
            del batches
            assert gate.answered == []
            assert foveal_threads() == []
        gate.open.set()
        assert len(epoch(one)) == SAMPLES


EXIT = """
loader = ZoomLoader(urls, UniformSampler(8), batch_size=1, fields=("image",))
batches = iter(loader)
if input() == "go on":
    next(batches)
"""


@pytest.mark.parametrize("how", ["end", "interrupt"])
def test_a_process_ends_with_requests_under_way(local, server, gate, how):
    """The process ends without waiting for responses, and prints nothing of its own."""
    urls = on(server, local)
    Shards(urls)  # so that its index is in the cache
    gate.asked.clear()
    gate.answered.clear()
    gate.shut_after = len(urls)  # their states
    command = [sys.executable, "-c", HEAD + EXIT, *urls]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        gate.wait_for(len(urls) + 32)
        if how == "interrupt":
            process.stdin.write("go on\n")
            process.stdin.flush()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        _, err = process.communicate("end\n" if how == "end" else None, timeout=40)

    assert len(gate.answered) == len(urls)
    assert process.returncode == (0 if how == "end" else -signal.SIGINT), err
    assert err == "" or how == "interrupt"
    assert "Exception ignored" not in err
