"""Runs scripts on two ranks."""

import os
import subprocess
import sys

from tests.time_limits import HANGS_AFTER_S


def on_two_ranks(script, *arguments):
    """Run a script under torchrun on two processes, and check that it succeeds. Printed lines may mix; let each rank write a file."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *(script, *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    return run
