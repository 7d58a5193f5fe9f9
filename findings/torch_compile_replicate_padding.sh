#!/usr/bin/env bash
# torch 2.13.0: torch.compile cannot train a depthwise convolution with padding_mode="replicate" behind another convolution on the CPU.
#
# Expected: the gradients of the compiled module are those of the module.
# Seen: backward ends with an AssertionError of inductor ("expected size ..., stride ..."), which blames "a custom op", for
# torch.ops.aten.replication_pad2d_backward. With zeros for padding the same module trains.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch
from torch import nn


def gradients(mode, compiled):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, padding_mode=mode), nn.ReLU()
    )
    images = torch.rand(2, 3, 16, 16)
    call = torch.compile(net) if compiled else net
    return torch.autograd.grad(call(images).square().sum(), list(net.parameters()))


print("torch", torch.__version__)
gradients("replicate", compiled=False)
print("eager, replicate: trains")
gradients("zeros", compiled=True)
print("compiled, zeros: trains")
try:
    gradients("replicate", compiled=True)
except AssertionError as error:
    print("compiled, replicate:", str(error).splitlines()[0])
    sys.exit("replication_pad2d_backward" not in str(error))
print("compiled, replicate: trains")
sys.exit(1)
PY
