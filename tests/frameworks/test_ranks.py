"""Scripts of docs/frameworks.md on two processes: shares, weights, and what a stop in mid-epoch changes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.frameworks.scripts import flat, script

ROOT = Path(__file__).parents[2]
ON_TWO = 'accelerator="cpu", devices=2, strategy="ddp"'


def on_two_processes(code, folder, out, *stop_before):
    """Run a script on two processes, and return what each found."""
    (folder / "script.py").write_text(code)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "tests.frameworks.rank", "script.py", out, *map(str, stop_before)),
    ]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{out}-{rank}.pt") for rank in range(2)]


def check_ranks(code, new_folder, stop_before, kept):
    """Check that both ranks have three batches an epoch, disjoint shares and equal weights, and the same after a stop."""
    whole = on_two_processes(code, new_folder(), "whole")
    for epoch in (slice(0, 3), slice(3, 6)):
        read = [label for rank in whole for label in flat(rank["labels"][epoch])]
        assert sorted(read) == sorted(k % 10 for k in range(40))
    assert torch.equal(whole[0]["weights"], whole[1]["weights"])
    folder = new_folder()
    stopped = on_two_processes(code, folder, "stopped", stop_before)
    again = on_two_processes(code, folder, "again")

    for whole_rank, stopped_rank, again_rank in zip(whole, stopped, again, strict=True):
        assert stopped_rank["labels"] == whole_rank["labels"][:stop_before]
        assert again_rank["labels"] == whole_rank["labels"][kept:]
        assert torch.equal(again_rank["weights"], whole_rank["weights"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heading", "package", "change", "kept"),
    [
        ("Accelerate", "accelerate", ("Accelerator(", "Accelerator(cpu=True, "), 5),
        ("Fabric", "lightning", ("Fabric()", f"Fabric({ON_TWO})"), 5),
        ("Lightning", "lightning", ("L.Trainer(", f"L.Trainer({ON_TWO}, "), 4),
    ],
)
def test_two_processes(heading, package, change, kept, new_folder):
    """Each process reads its share, the weights stay equal, and a run that was stopped resumes."""
    pytest.importorskip(package, reason=f"{package} is installed by `make test-all`")
    check_ranks(script(heading).replace(*change, 1), new_folder, 5, kept)


RECORDED = """
        for images, labels in loader:
            import json, os
            path = f"{folder}/labels-{loader.sampler.rank}.jsonl"
            with open(path, "a") as file:
                print(json.dumps([os.getpid(), labels.tolist()]), file=file)
            if STOP_BEFORE == len(open(path).readlines()) - 1:
                raise RuntimeError("stopped by the test")
"""


def on_ray(code, folder, stop_before):
    """Run the script of Ray Train, and return the labels of each worker and the weights in the last checkpoint."""
    import ray

    for old in folder.glob("labels-*"):
        old.unlink()
    recording = RECORDED.lstrip("\n").replace("STOP_BEFORE", repr(stop_before))
    code = code.replace("        for images, labels in loader:\n", recording)
    names = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(folder)
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
        log_to_driver=False,
    )
    try:
        exec(compile(code, "frameworks.md", "exec"), names)
        with names["result"].checkpoint.as_directory() as saved:
            state = torch.load(Path(saved, "state.pt"))
    except ray.train.TrainingFailedError as error:
        if "stopped by the test" not in str(error):
            raise
        state = None
    finally:
        ray.shutdown()
        os.chdir(before)
    labels = [
        [json.loads(line)[1] for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("labels-*"))
    ]
    return labels, state


@pytest.mark.slow
def test_ray_train(new_folder):
    """Each of two workers reads its share, and a run that failed resumes at its place when it is started again."""
    pytest.importorskip(
        "ray.train", reason="ray[train] is installed by `make test-all`", exc_type=ImportError
    )
    code = script("Ray Train")
    whole, weights = on_ray(code, new_folder(), None)
    folder = new_folder()
    stopped, nothing = on_ray(code, folder, 7)
    again, weights_again = on_ray(code, folder, None)

    for epoch in (slice(0, 5), slice(5, 10)):
        read = [label for rank in whole for label in flat(rank[epoch])]
        assert sorted(read) == sorted(k % 10 for k in range(40))
    assert nothing is None
    assert max(map(len, stopped)) == 8
    for whole_rank, again_rank in zip(whole, again, strict=True):
        assert 3 <= len(again_rank) <= 4  # a report may not have been kept yet when the run failed
        assert again_rank == whole_rank[-len(again_rank) :]
    for part in ("net", "eye"):
        assert all(torch.equal(value, weights_again[part][name]) for name, value in weights[part].items())
