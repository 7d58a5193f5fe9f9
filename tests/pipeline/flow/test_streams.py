"""CUDA streams: memory is read after it was written, and overwritten after it was read, also on other streams."""

import contextlib
import threading

import pytest
import torch

from foveal.pipeline import LoaderStats, WarpedBoxes, ZoomLoader
from foveal.pipeline.flow import Background, Streams, streams_for
from foveal.pipeline.flow._streams import tensors_in
from foveal.sampler import SaliencySampler
from tests.pipeline.making import encode, picture


class Stream:
    """A stream that records how much work of each stream is known to be done before its own."""

    def __init__(self, device=None):
        self.device = device
        self.known = {self: 0}

    def work(self):
        """Add a piece of work, and return what is done after it."""
        self.known[self] += 1
        return dict(self.known)

    def record_event(self):
        return dict(self.known)

    def wait_event(self, event):
        for stream, count in event.items():
            self.known[stream] = max(self.known.get(stream, 0), count)

    def wait_stream(self, other):
        self.wait_event(other.record_event())

    def follows(self, moment):
        """Return whether everything up to a moment is done before this stream's next work."""
        return all(self.known.get(stream, 0) >= count for stream, count in moment.items())


@pytest.fixture
def cuda(monkeypatch):
    """A stand-in for a CUDA device, whose streams record what they wait for."""
    own, current = Stream(), threading.local()

    def current_stream(_device=None):
        return getattr(current, "stream", own)

    @contextlib.contextmanager
    def stream(wanted):
        before, current.stream = current_stream(), wanted
        yield
        current.stream = before

    for name, fake in (("Stream", Stream), ("current_stream", current_stream), ("stream", stream)):
        monkeypatch.setattr(torch.cuda, name, fake)
    return torch.cuda


def produced(count):
    """Yield numbered items, each with the moment in which it was made."""
    for number in range(count):
        yield number, torch.cuda.current_stream().work()


def test_an_item_is_there_when_it_is_used(cuda):
    """The consumer's stream waits for the work that made the item."""
    streams = Streams(torch.device("cuda"))
    items = streams.consume(Background(streams.produce(produced(20)), ahead=3, name="test"))
    taken = 0
    for number, made in items:
        assert number == taken
        assert cuda.current_stream() is not streams.zoom
        assert made[streams.zoom] > 0
        assert cuda.current_stream().follows(made)
        taken += 1
    assert taken == 20


def test_an_item_that_skips_the_hand_over_is_not(cuda):
    """The check above fails if an item is taken without the handover."""
    streams = Streams(torch.device("cuda"))
    for (_, made), _ready in Background(streams.produce(produced(3)), ahead=3, name="test"):
        assert not cuda.current_stream().follows(made)


@pytest.mark.parametrize("trains", [False, True])
def test_memory_of_images_is_written_again_after_it_was_read(cuda, trains):
    """Memory of images is overwritten only after the streams of zoom and training script have read it."""
    streams = Streams(torch.device("cuda"))
    with contextlib.nullcontext() if trains else cuda.stream(streams.zoom):
        read = cuda.current_stream().work()
        assert not streams.decode.follows(read)
        streams.reuse_after_here()
    assert streams.decode.follows(read)


def test_leaving_early_ends_the_thread(cuda):
    """Leaving early ends the thread and the iterator that it runs."""
    ended = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            ended.append(cuda.current_stream())

    streams = Streams(torch.device("cuda"))
    items = streams.consume(Background(streams.produce(endless()), ahead=1, name="test"))
    next(items)
    items.close()
    assert ended == [streams.zoom]


def test_tensors_of_a_batch_are_found():
    """All tensors of a batch are found, however they are nested."""
    a, b, c, d = (torch.zeros(k) for k in range(4))
    batch = (a, [WarpedBoxes([b], [c])], {"x": d, "y": "text"}, 3, None)
    assert [len(tensor) for tensor in tensors_in(batch)] == [0, 1, 2, 3]


def test_a_processor_has_no_streams():
    """On the CPU there are no streams and no handover."""
    assert streams_for(torch.device("cpu")) is None


@pytest.mark.gpu
@pytest.mark.parametrize("trains", [False, True])
def test_batches_on_a_device_are_those_of_its_default_stream(write_shard, monkeypatch, trains):
    """Batches are right while the script's stream is busy and memory is scarce."""
    samples = [{"__key__": f"{k}", "jpg": encode(picture(k, 700, 900)), "cls": k} for k in range(64)]
    zoom = SaliencySampler(64).cuda().requires_grad_(trains)
    url = write_shard(samples)

    def epoch():
        busy = torch.rand(2000, 2000, device="cuda")
        seen = []
        with ZoomLoader(url, zoom, batch_size=8) as loader:
            for images, _ in loader:
                busy = busy @ busy / 1000
                seen.append(images.detach() + 0 * busy[0, 0])
        return torch.cat(seen).cpu()

    beside = epoch()
    monkeypatch.setattr("foveal.pipeline.epoch._epoch.streams_for", lambda _: None)
    assert torch.equal(beside, epoch())


def test_stages_are_ranges_for_profilers(monkeypatch):
    """On a CUDA device, stages are profiler ranges; on the CPU they are not, as CPU builds of torch have none."""
    ranges = []

    @contextlib.contextmanager
    def ranged(name):
        ranges.append(name)
        yield

    monkeypatch.setattr(torch.cuda.nvtx, "range", ranged)
    with LoaderStats().timed("zoom"):
        assert torch.cuda.is_available() == bool(ranges)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with LoaderStats().timed("zoom"):
        assert ranges[-1] == "foveal: zoom"
