"""Bad samples in a training, and those that are known before it."""

from dataclasses import replace

import pytest

from foveal.shards import ShardWarning, ShardWriter
from foveal.tools import train
from tests.pipeline.making import encode, picture
from tests.shards.reading import make_tar
from tests.tools import command_line
from tests.tools.training.runs import SMALL


def test_bad_samples_cost_themselves(tmp_path):
    """Samples without a label, with two, or with a truncated image are left out, in training and validation."""
    files = []
    for k in range(40):
        image = encode(picture(k, 50, 60))
        files.append((f"{k:03d}.jpg", image[:200] if k in (0, 39) else image))
        if k != 13:
            files += [(f"{k:03d}.cls", b"%d" % (k % 3))] * (2 if k == 20 else 1)
    make_tar(tmp_path / "s.tar", files)
    url, run = str(tmp_path / "s.tar"), tmp_path / "run"
    with pytest.warns(ShardWarning, match="4 bad sample"):
        last = train(url, run, val=url, options=replace(SMALL, epochs=1))

    assert last["step"] == 10
    assert (run / "epoch-001.png").exists()
    assert (run / "model.pt").exists()


@pytest.mark.usefixtures("no_sheets")
def test_known_bad_samples_are_not_tried(tmp_path):
    """One that ``foveal verify`` listed is replaced without a word; an image above the limit is bad; a run keeps its limit."""
    with ShardWriter(tmp_path / "train.tar") as writer:
        for k in range(30):
            image = encode(picture(k, 50 + 20 * (k == 8), 60))
            writer.write({"__key__": f"{k}", "jpg": image if k else image[:99], "cls": k % 3})
    file = tmp_path / "bad.jsonl"
    assert command_line.run("verify", tmp_path / "train.tar", "--quarantine", file).exit_code == 1
    words = ["train", tmp_path / "train.tar", "--out-size", 16, "--batch-size", 10, "--num-threads", 1]
    words += ["--epochs", 1, "--out", tmp_path / "run"]
    with pytest.warns(ShardWarning) as warned:
        done = command_line.run(*words, "--quarantine", file, "--max-pixels", 3500)
    assert done.exit_code == 0, done.exception

    [message] = [str(each.message) for each in warned]
    assert "has more pixels than max_pixels=3500" in message
    again = command_line.run(*words, "--resume", "--max-pixels", 3500)
    assert again.exit_code == 0, again.exception
    other = command_line.run(*words, "--resume")
    assert str(other.exception).startswith("max_pixels must be 3500, as in the run that goes on in")
