"""The folder of a training."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from foveal.sampler import SaliencySampler, UniformSampler
from foveal.tools import train
from foveal.tools.training._alone_in import alone_in
from foveal.tools.training._ranks import Ranks, in_ranks
from foveal.tools.training.run import TrainRun
from tests.full_disk import full_at
from tests.tools.training.runs import SMALL

FIRST, SECOND = (Ranks(rank, 2, torch.device("cpu")) for rank in range(2))


@pytest.mark.parametrize(
    "wrap", [lambda zoom: zoom, lambda zoom: torch.compile(zoom, backend="eager"), AveragedModel]
)
@pytest.mark.parametrize("kind", [SaliencySampler, UniformSampler])
def test_the_zoom_is_written_if_it_can_be_saved(kind, wrap, tmp_path):
    """Also if it is wrapped; a sampler without a file of its own is left out."""
    zoom = kind(8)
    with in_ranks() as ranks:
        TrainRun(tmp_path / "run", ranks, {}, defaults={}, resume=False).finish(nn.Linear(1, 1), wrap(zoom))
    written = tmp_path / "run" / "saliency.pt"

    assert written.exists() == (kind is SaliencySampler)
    assert not written.exists() or SaliencySampler.from_checkpoint(written).settings == zoom.settings


def test_metrics_that_do_not_fit(tmp_path):
    """If the disk is full, the error names the file of the metrics; the lines that fit are read."""
    with in_ranks() as ranks:
        run = TrainRun(tmp_path, ranks, {}, defaults={}, resume=False)
        run.log("epoch", step=1, val_loss=0.5)
        path = tmp_path / "metrics.jsonl"
        with full_at(60), pytest.raises(OSError, match=re.escape(f"File too large: {str(path)!r}")):
            run.log("epoch", step=2, val_loss=0.25)

        assert run.last_epoch() == {"kind": "epoch", "step": 1, "val_loss": 0.5}


HOLD = """
    import sys
    from pathlib import Path
    import torch
    from foveal.tools.training._alone_in import alone_in
    from foveal.tools.training._ranks import Ranks

    with alone_in(Path(sys.argv[1]), Ranks(0, 1, torch.device("cpu"))):
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_training_is_refused(shards, tmp_path, resume):
    """While a process trains there another is refused and leaves the folder as it is; when the first was killed it goes on."""
    out = tmp_path / "run"
    message = f"out must be a folder that no other training writes to, got {str(out)!r} – wait until that one has ended, or name another."
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=re.escape(message)):
            train(shards, out, options=SMALL, resume=resume)
        assert list(out.iterdir()) == []
        process.kill()
    with alone_in(out, FIRST):
        pass


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_other_ranks_and_later_trainings_are_not_kept_out(tmp_path):
    """The first rank holds the folder for all, until it has ended, with an error or without."""
    with pytest.raises(RuntimeError, match="stopped"), alone_in(tmp_path, FIRST), alone_in(tmp_path, SECOND):
        raise RuntimeError("stopped")
    before = open_files()
    with alone_in(tmp_path, FIRST):
        assert open_files() == before + 1
    assert open_files() == before


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """There nobody is kept out."""

    def refuse(*_):
        raise OSError("no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    with alone_in(tmp_path, FIRST), alone_in(tmp_path, FIRST):
        pass
