import multiprocessing
import os
import re
import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from foveal.shards import ShardError, Shards
from foveal.shards.index import Stamp
from foveal.shards.remote._shard_cache import ShardCache
from tests.shards.reading import samples, tar_bytes
from tests.shards.server import Files, serving


def stamp(size, tag="1"):
    return Stamp(size, None, tag)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "room.lock")


def pause():
    """Wait a moment for another download."""
    time.sleep(0.01)


def put(cache, name, size, tag="1"):
    """Open a copy of ``size`` bytes that repeat its name; return its content, or None if it was not stored."""
    file = cache.open("u", name, stamp(size, tag), lambda: [name.encode() * (size // len(name))], pause)
    if file is None:
        return None
    with file:
        return file.read()


def test_a_copy_is_downloaded_once(tmp_path):
    """The second time, the copy is there."""
    cache = ShardCache(tmp_path / "c", 100)

    assert put(cache, "a", 60) == b"a" * 60
    with cache.open("u", "a", stamp(60), lambda: pytest.fail("downloaded again"), pause) as file:
        assert file.read() == b"a" * 60


def test_the_longest_unused_make_room(tmp_path):
    """The least recently used copies are removed, and the folder never exceeds its limit, with downloads in progress."""
    cache = ShardCache(tmp_path, 100)
    for time_ns, name in enumerate("abc"):
        put(cache, name, 30)
        os.utime(tmp_path / f"{name}-{stamp(30).digest}.tar", ns=(time_ns, time_ns))
    put(cache, "a", 30)  # used again

    def download():
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100
        yield b"d" * 40

    cache.open("u", "d", stamp(40), download, pause).close()
    assert [name[0] for name in names(tmp_path)] == ["a", "c", "d"]
    assert put(cache, "e", 100) == b"e" * 100
    assert [name[0] for name in names(tmp_path)] == ["e"]


def test_what_cannot_fit_is_not_taken_in(tmp_path):
    """A shard that is larger than the limit is not stored, and other copies stay."""
    cache = ShardCache(tmp_path, 100)
    put(cache, "a", 30)

    assert put(cache, "b", 101) is None
    assert [name[0] for name in names(tmp_path)] == ["a"]


def test_downloads_under_way_keep_their_room(tmp_path):
    """If other downloads need the room, a shard is not stored, without a wait."""
    cache = ShardCache(tmp_path, 100)

    def download():
        assert put(cache, "b", 50) is None
        assert put(cache, "c", 40) == b"c" * 40
        yield b"a" * 60

    cache.open("u", "a", stamp(60), download, pause).close()
    assert [name[0] for name in names(tmp_path)] == ["a", "c"]


@pytest.fixture
def without_ranges(hasty):
    """Return a server that sends whole files only."""
    with serving(Files({"/t.tar": tar_bytes(samples("abc"))})) as server:
        server.site.ranges = False
        yield server


@contextmanager
def room_taken(folder, size):
    """Run a download of ``size`` bytes, until the event that is returned is set, in another thread."""
    begun, end = threading.Event(), threading.Event()

    def download():
        begun.set()
        assert end.wait(30)
        yield b"x" * size

    cache = ShardCache(folder / "shards", size)
    thread = threading.Thread(target=lambda: cache.open("u", "x", stamp(size), download, pause).close())
    thread.start()
    assert begun.wait(30)
    try:
        yield end
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("step", ["open", "read"])
def test_a_shard_that_can_only_be_copied_waits_for_room(without_ranges, tmp_path, step):
    """If other downloads take the room and a server sends no parts, a shard waits for them when it is opened or read."""
    server, size = without_ranges, len(without_ranges.site.files["/t.tar"])
    url, options = f"{server.url}/t.tar", {"cache_dir": tmp_path, "cache_size": size}
    shards = Shards(url, **options) if step == "read" else None
    files, asked = server.site, []

    with room_taken(tmp_path, size) as end:

        def site(*request):  # the first request when opening is for the state
            asked.append(request)
            if len(asked) == (1 if step == "read" else 3):
                threading.Timer(0.3, end.set).start()
            return files(*request)

        server.site = site
        shards = shards or Shards(url, **options)
        assert [sample.key for sample in shards] == list("abc")


def test_waiting_for_room_is_interrupted(without_ranges, tmp_path):
    """A thread that waits for room raises an error when waiting is interrupted."""
    server, size = without_ranges, len(without_ranges.site.files["/t.tar"])
    shards = Shards(f"{server.url}/t.tar", cache_dir=tmp_path, cache_size=size)
    with room_taken(tmp_path, size):
        threading.Timer(0.3, shards.interrupt).start()
        with pytest.raises(ShardError, match=r"/t\.tar: reading was interrupted$"):
            shards[0]


def test_waiting_for_the_download_of_another_is_interrupted(hasty, tmp_path):
    """A thread that waits until another process has downloaded the same shard raises an error when waiting is interrupted."""
    files, asked, go_on = Files({"/t.tar": tar_bytes(samples("abc"))}), threading.Event(), threading.Event()

    def site(method, path, headers):
        if headers["Range"] != "bytes=0-0":
            asked.set()
            go_on.wait(30)
        return files(method, path, headers)

    with serving(files) as server:
        url, options = f"{server.url}/t.tar", {"cache_dir": tmp_path, "cache_size": "1MB"}
        downloading, waiting = Shards(url, **options), Shards(url, **options)
        server.site = site
        thread = threading.Thread(target=lambda: downloading[0])
        thread.start()
        assert asked.wait(30)
        threading.Timer(0.3, waiting.interrupt).start()
        try:
            with pytest.raises(ShardError, match=r"/t\.tar: reading was interrupted$"):
                waiting[0]
            assert thread.is_alive()
        finally:
            go_on.set()
            thread.join()
        waiting.resume()
        assert waiting[0].key == "a"


def test_another_state_takes_the_old_ones_place(tmp_path):
    """A changed shard is fetched again, and its old copy is removed."""
    cache = ShardCache(tmp_path, 1000)
    put(cache, "a", 30)
    put(cache, "b", 30)

    assert put(cache, "a", 30, tag="2") == b"a" * 30
    assert names(tmp_path) == sorted([f"a-{stamp(30, '2').digest}.tar", f"b-{stamp(30).digest}.tar"])


def test_an_open_copy_outlives_its_name(tmp_path):
    """A copy that is removed can be read on by a process that has it open."""
    cache = ShardCache(tmp_path, 100)
    with cache.open("u", "a", stamp(60), lambda: [b"a" * 60], pause) as file:
        put(cache, "b", 60)
        assert [name[0] for name in names(tmp_path)] == ["b"]
        assert file.read() == b"a" * 60


def test_a_download_that_fails_leaves_nothing(tmp_path):
    """A failed download leaves no copy and no reserved room."""
    cache = ShardCache(tmp_path, 100)

    def download():
        yield b"a"
        raise ShardError("u", None, "gone")

    with pytest.raises(ShardError, match=r"^u: gone$"):
        cache.open("u", "a", stamp(60), download, pause)
    assert names(tmp_path) == []
    assert put(cache, "a", 60) == b"a" * 60


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """A folder that cannot be written is an error, because copies were requested."""
    (tmp_path / "file").touch()
    cache = ShardCache(tmp_path / "file" / "c", 100)
    message = f"u: cannot be kept in '{tmp_path}/file/c': Not a directory: set another cache_dir"

    with pytest.raises(ShardError, match=f"^{re.escape(message)}$"):
        put(cache, "a", 60)


def test_a_copy_of_another_user_is_read(tmp_path, monkeypatch):
    """A copy whose time of use cannot be set is read all the same."""
    cache = ShardCache(tmp_path, 100)
    put(cache, "a", 30)

    def refuse(*args, **options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert put(cache, "a", 30) == b"a" * 30


def test_many_processes_download_once(tmp_path, hasty):
    """One process downloads, the others wait, and all read the same."""
    with serving(Files({"/t.tar": tar_bytes(samples("abc", size=30_000))})) as server:
        url = f"{server.url}/t.tar"
        Shards(url, cache_dir=tmp_path)
        server.requests.clear()
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=_read_all, args=(url, tmp_path)) for _ in range(6)]
        for child in children:
            child.start()
        for child in children:
            child.join()

        assert [child.exitcode for child in children] == [0] * 6
        assert sum(request.sent > 1 for request in server.requests) == 1
        assert [request.sent for request in server.requests].count(1) == 6  # each looked up the state


def _read_all(url, folder):
    shards = Shards(url, cache_dir=folder, cache_size="1MB")
    os._exit(0 if [sample.key for sample in shards] == list("abc") else 1)


def _download_for_ever(folder, started):
    def download():
        yield b"a" * 10
        started.set()
        time.sleep(600)

    ShardCache(folder, 100).open("u", "a", stamp(60), download, pause)


@pytest.mark.parametrize("shard", ["a", "b"])
def test_a_killed_downloader_frees_lock_and_room(tmp_path, shard):
    """A killed download blocks neither other processes nor room."""
    context = multiprocessing.get_context("fork")
    started = context.Event()
    child = context.Process(target=_download_for_ever, args=(tmp_path, started))
    child.start()
    assert started.wait(30)
    assert [name[-5:] for name in names(tmp_path)] == [".part"]
    os.kill(child.pid, signal.SIGKILL)
    child.join()

    assert put(ShardCache(tmp_path, 100), shard, 60) == shard.encode() * 60
    assert names(tmp_path) == [f"{shard}-{stamp(60).digest}.tar"]


def test_many_processes_fight_for_room(tmp_path):
    """Whatever is removed, all processes read the right bytes, and the limit holds."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_open_often, args=(tmp_path, seed)) for seed in range(4)]
    for child in children:
        child.start()
    while any(child.is_alive() for child in children):
        assert _taken(tmp_path) <= 100
        time.sleep(0.002)

    assert [child.exitcode for child in children] == [0] * 4
    assert all(name.endswith(".tar") for name in names(tmp_path))


def _taken(folder):
    sizes = 0
    for path in folder.iterdir():
        if path.suffix == ".tar":
            with suppress(FileNotFoundError):
                sizes += path.stat().st_size
    return sizes


def _open_often(folder, seed):
    cache = ShardCache(folder, 100)
    for n in range(60):
        name = "abcdefg"[(n * (seed + 1) + seed) % 7]
        if put(cache, name, 30) not in (None, name.encode() * 30):
            os._exit(1)
    os._exit(0)
