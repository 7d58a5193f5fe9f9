"""What happens to a run of `foveal zoom` when a disk is full, the process ends early, or an original goes away."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foveal.shards import ShardError, Shards, ShardWriter
from foveal.shards.store import StoreError, open_store
from foveal.tools.offline import shard as _zoom_shard
from foveal.tools.offline.against import verify_against
from foveal.tools.offline.recipe import Recipe
from tests.time_limits import HANGS_AFTER_S
from tests.tools.offline.zooming import content, write_originals, zoom


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize(
    "name", ["s-1.tar", "s-1.idx", "s-1_samples.jsonl", "s-1_stats.json", "manifest.json", "sizes.json"]
)
def test_a_disk_that_is_full(urls, tmp_path, monkeypatch, capsys, name):
    """A full disk at any file is a clear error, leaves no incomplete file, and the next run continues."""
    write = os.fsync
    full = []

    def fsync(descriptor):
        if f"/.{name}." in str(Path(f"/proc/self/fd/{descriptor}").readlink()) and not full:
            full.append(name)
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=rf"out/{name} cannot be written: No space left on device"):
        zoom(urls, tmp_path / "out")
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert not {file for file in there if file.startswith(".")} | ({name} & there)
    assert ("the same command continues from there" in capsys.readouterr().out) == name.startswith("s-1")
    zoom(urls, tmp_path / "out")
    zoom(urls, tmp_path / "fresh")

    assert full
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


@pytest.mark.usefixtures("no_sheet")
def test_a_small_disk(tmp_path):
    """On a real small disk, the same command continues when there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        urls = write_originals(tmp_path / "in", shards=2, samples=8)
        with pytest.raises(StoreError, match=r"s-\d.* cannot be written: No space left on device"):
            zoom(urls, disk / "out", Recipe(out_size=64, format="png"))
        assert [path for path in (disk / "out").iterdir() if path.name.startswith(".")] == []
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        zoom(urls, disk / "out", Recipe(out_size=64, format="png"))
        zoom(urls, tmp_path / "out", Recipe(out_size=64, format="png"))

        assert content(disk / "out") == content(tmp_path / "out")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.usefixtures("no_sheet")
def test_leftovers_of_killed_processes_are_swept(urls, tmp_path):
    """Temporary files of shards that are to be zoomed are removed; other files are kept."""
    out = tmp_path / "out"
    out.mkdir()
    for name in (
        ".s-0.tar.0123456789ab.tmp",
        ".s-1_stats.json.0123456789ab.tmp",
        ".sheet.png.0123456789ab.tmp",
        ".other.tmp",
        ".s-0.tar.tmp",
    ):
        (out / name).write_bytes(b"half")
    zoom(urls, out)

    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == [
        ".other.tmp",
        ".s-0.tar.tmp",
    ]


def test_interrupted(tmp_path):
    """After Ctrl-C the unfinished shard is discarded, the exit status is 130, and the next run ends as an undisturbed one."""
    urls = write_originals(tmp_path / "in", shards=4, samples=25)
    # A shell's background job begins with the signal ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from foveal.tools import main; main()"
    settings = ["--out-size", "24", "--format", "png", "--device", "cpu", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "zoom", urls, *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + HANGS_AFTER_S
    while not list((tmp_path / "out").glob(".s-*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 130
    assert re.search(r"\d of 4 shards are done; the same command continues from there\.", said)
    assert [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []
    zoom(urls, tmp_path / "out")
    assert not verify_against(str(tmp_path / "out"), [urls])
    assert (tmp_path / "out/sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize("options", [{"overwrite": True}, {"retry_failed": True}])
def test_killed_when_a_new_tar_has_taken_its_name(tmp_path, monkeypatch, options):
    """From that moment nothing of the old tar is there that would pass for the new one's: neither stats nor an index."""
    urls, rename = write_originals(tmp_path / "in", bad=[6]), Path.replace
    zoom(urls, tmp_path / "out")

    def killed(self, target):
        rename(self, target)
        if Path(target).name == "s-1.tar":
            raise SystemExit

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(SystemExit):
        zoom(urls, tmp_path / "out", **options)
    assert sorted(path.name for path in (tmp_path / "out").glob("s-1*")) == ["s-1.tar", "s-1_samples.jsonl"]


def test_an_original_that_goes_away(urls, tmp_path, monkeypatch, capsys):
    """A missing original is an error that names it; finished shards are kept, and the next run continues."""
    begin = _zoom_shard.ShardZoomer.__init__

    def gone(self, job, url):
        if url.endswith("s-1.tar"):
            Path(url).unlink()
        begin(self, job, url)

    monkeypatch.setattr(_zoom_shard.ShardZoomer, "__init__", gone)
    with pytest.raises(ShardError, match=r"s-1.tar: cannot be opened: No such file"):
        zoom(urls, tmp_path / "out")
    assert " of 3 shards are done; the same command continues from there." in capsys.readouterr().out


def test_the_disk_full_check_sees_half_files(tmp_path):
    """The check of full disks finds an incomplete file."""

    def write_half():
        with open_store(str(tmp_path)).new_file("a") as path:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match="a cannot be written: No space left on device"):
        write_half()
    assert (tmp_path / "a").exists()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_shard(tmp_path, data_dir):
    """A shard of ten times as many photographs needs the same peak memory."""

    def peak(times):
        with (
            Shards(str(data_dir / "photos/*.tar")) as photos,
            ShardWriter(tmp_path / f"{times}.tar") as writer,
        ):
            for time_ in range(times):
                for sample in photos:
                    writer.write({"__key__": f"{sample.key}-{time_}", **sample.members})
        code = "import re, sys; sys.argv[0] = 'foveal'\nfrom foveal.tools import main\ntry:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        code += "print('peak', re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
        command = [
            sys.executable,
            "-c",
            code,
            "zoom",
            str(tmp_path / f"{times}.tar"),
            "--out",
            str(tmp_path / f"out-{times}"),
        ]
        run = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, check=True)
        return int(run.stdout.split("peak ")[1]) / 1024

    few, many = peak(2), peak(20)

    assert many <= 1.15 * few, f"{few:.0f} MB for 62 photographs, {many:.0f} MB for 620"
