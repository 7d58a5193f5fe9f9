#!/usr/bin/env bash
# torch 2.13.0: the gradient of while_loop counts only one of its rounds for a tensor that stands outside the loop.
#
# Expected: a loop that adds w four times has the derivative 4 by w, as a Python loop has.
# Seen: while_loop (torch._higher_order_ops, a prototype) has the value of four rounds and the derivative 1, without a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch
from torch._higher_order_ops.while_loop import while_loop


def goes_on(k, total):
    return k < 4


def add(k, total):
    return k + 1, total + w


w = torch.tensor([2.0], requires_grad=True)
start = (torch.zeros((), dtype=torch.int64), torch.zeros(1))
_, total = while_loop(goes_on, add, start)
(by_w,) = torch.autograd.grad(total.sum(), w)
k, expected = start
while goes_on(k, expected):
    k, expected = add(k, expected)
(expected_by_w,) = torch.autograd.grad(expected.sum(), w)
print("torch", torch.__version__)
print("while_loop: value", total.item(), "derivative", by_w.item())
print("Python's loop: value", expected.item(), "derivative", expected_by_w.item())
sys.exit((total.item(), by_w.item(), expected.item(), expected_by_w.item()) != (8.0, 1.0, 8.0, 4.0))
PY
