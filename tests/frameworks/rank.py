"""One of the processes of a script of docs/frameworks.md: ``torchrun -m tests.frameworks.rank SCRIPT OUT [STOP_BEFORE]``."""

import os
import sys
from pathlib import Path

import torch

from tests.frameworks.scripts import run

if __name__ == "__main__":
    script, out, *stop_before = sys.argv[1:]
    found = run(
        Path(script).read_text(), Path.cwd(), stop_before=int(stop_before[0]) if stop_before else None
    )
    torch.save({"labels": found.labels, "weights": found.weights}, f"{out}-{os.environ['RANK']}.pt")
