"""What ``foveal zoom`` writes is prepared and read by Megatron Energon."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.time_limits import HANGS_AFTER_S
from tests.tools.offline.zooming import write_originals, zoom

READ = """
import sys
from megatron.energon import DefaultTaskEncoder, TextSample, WorkerConfig, basic_sample_keys, get_loader, get_train_dataset, stateless
from megatron.energon.task_encoder.cooking import Cooker

@stateless
def described(sample):
    return TextSample(**basic_sample_keys(sample), text=f"{sample['cls']} {tuple(sample['png'].shape)}")

class Encoder(DefaultTaskEncoder):
    cookers = [Cooker(described)]

here = WorkerConfig.default_worker_config(0)
options = {"shuffle_buffer_size": None, "max_samples_per_sequence": None, "repeat": False}
dataset = get_train_dataset(sys.argv[1], worker_config=here, batch_size=1, task_encoder=Encoder(), **options)
for batch in get_loader(dataset):
    print(batch.__key__[0], batch.text[0], sep="|")
"""
PREPARE = ("--non-interactive", "--split-ratio", "1,0,0", "--sample-type", "CrudeWebdataset")


def out_of(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_AFTER_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_folder_of_zoomed_shards_is_prepared_and_read(tmp_path):
    """Every sample is read once, with its label and its image."""
    pytest.importorskip("megatron.energon", reason="megatron-energon is installed by `make test-all`")
    zoom(write_originals(tmp_path / "in"), tmp_path / "out")
    out_of(Path(sys.executable).with_name("energon"), "prepare", tmp_path / "out", *PREPARE)
    lines = out_of(sys.executable, "-c", READ, tmp_path / "out").splitlines()

    assert sorted(lines) == [f"dir/{k:03d}|{k} (3, 24, 24)" for k in range(15)]
