"""After ``kill -9`` at any moment, the next run of ``foveal zoom`` ends as an undisturbed one."""

import random
import signal
import subprocess
import sys
import textwrap

import pytest

from foveal.tools.offline.against import verify_against
from tests.tools.offline.zooming import content, write_originals, zoom

# A process that has loaded everything; each life is a fork of it, which zooms until it is killed: from outside, or by
# itself when it has come to so many events of a kind.
RUN = """
import os, pathlib, signal, sys, time, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
import foveal.shards._shards, foveal.tools.offline._sheet, foveal.tools.offline.shard, foveal.tools.offline._zoomed_sample
from tests.tools.offline.zooming import zoom

def ends(function, moment, left):
    def counted(*arguments, **options):
        left[0] -= 1
        if left[0] == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return counted

PLACES = {
    "read": (foveal.shards._shards.Shards, "read"),
    "encode": (foveal.tools.offline._zoomed_sample, "encode_image"),
    "fsync": (os, "fsync"),
    "rename": (pathlib.Path, "replace"),
    "stats": (foveal.tools.offline.shard.ShardStats, "to_json"),
}
foveal.tools.offline._sheet.draw_zoomed = lambda *_: b"a picture"
for line in sys.stdin:
    urls, out, kind, moment, count, delay = line.split()
    child = os.fork()
    if child == 0:
        if kind != "time":
            owner, name = PLACES[kind]
            setattr(owner, name, ends(getattr(owner, name), moment, [int(count)]))
        with open(os.devnull, "w") as sys.stdout:
            zoom(urls, out)
        os._exit(0)
    if float(delay) >= 0:
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)  # it cannot be another's number: it has not been waited for
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
KINDS = ("time", "read", "encode", "fsync", "rename", "stats")


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize("lives", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_and_run_again(tmp_path, lives):
    """Killed at any step, nothing is missing, repeated, different or left over after the next run."""
    urls, chance = write_originals(tmp_path / "in", shards=4, samples=9, bad=[3]), random.Random(lives)
    zoom(urls, tmp_path / "undisturbed")
    expected, deaths, rounds = content(tmp_path / "undisturbed"), 0, 0
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as zygote:

        def live(kind, moment="-", count=0, delay=-1.0):
            zygote.stdin.write(f"{urls} {tmp_path}/out-{rounds} {kind} {moment} {count} {delay}\n")
            zygote.stdin.flush()
            return int(zygote.stdout.readline())

        while deaths < lives:
            kind = KINDS[deaths % len(KINDS)]
            moment, count = chance.choice(["before", "after"]), chance.randrange(1, 12)
            status = live(kind, moment, count, chance.random() * 0.6 if kind == "time" else -1.0)
            assert status in (0, -signal.SIGKILL)
            deaths += status != 0
            if status == 0 or chance.random() < 0.1:
                assert live("time") == 0  # undisturbed, to the end
                check_complete(tmp_path / f"out-{rounds}", urls, expected)
                rounds += 1
        assert live("time") == 0
        zygote.stdin.close()

    check_complete(tmp_path / f"out-{rounds}", urls, expected)


def check_complete(folder, urls, expected):
    """Check that the folder has the content of an undisturbed run and no temporary files."""
    assert content(folder) == expected
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert not verify_against(str(folder), [urls])


@pytest.mark.usefixtures("no_sheet")
@pytest.mark.parametrize("wrong", ["missing", "changed", "left over"])
def test_the_check_finds_what_a_kill_could_leave(tmp_path, wrong):
    """The check fails for each thing that a kill could leave."""
    urls = write_originals(tmp_path / "in", shards=2)
    zoom(urls, tmp_path / "out")
    expected = content(tmp_path / "out")
    check_complete(tmp_path / "out", urls, expected)
    match wrong:
        case "missing":
            (tmp_path / "out/s-1_stats.json").unlink()
        case "changed":
            (tmp_path / "out/s-1.tar").write_bytes((tmp_path / "out/s-0.tar").read_bytes())
        case "left over":
            (tmp_path / "out/.s-1.tar.0123456789ab.tmp").touch()

    with pytest.raises(AssertionError):
        check_complete(tmp_path / "out", urls, expected)
