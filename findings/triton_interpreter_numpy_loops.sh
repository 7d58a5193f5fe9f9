#!/usr/bin/env bash
# Triton 3.6.0, which torch 2.11 pins: with NumPy 2.4, its interpreter refuses loops that run to a value which the kernel computed.
#
# Expected: TRITON_INTERPRET=1 runs the kernels that Triton compiles, as it does with NumPy 2.3.
# Seen: `for k in range(tl.max(...))` raises InterpreterError: TypeError('only 0-dimensional arrays can be converted to Python scalars').
# The interpreter keeps a scalar in an array of one element and calls int() on it, which NumPy has warned of since 1.25 and refuses from 2.4
# on. Kernels that compile and run well on a GPU thereby fail in tests without one. Triton 3.7.0 has no such error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" install --quiet)
"${pip[@]}" torch==2.13.0
"${pip[@]}" triton==3.6.0
for numpy in 2.3.5 2.4.6; do "${pip[@]}" --target "$folder/numpy-$numpy" numpy==$numpy; done
"${pip[@]}" --target "$folder/triton-3.7.0" --no-deps triton==3.7.0

cat > "$folder/loop.py" <<'PY'
import sys

import numpy
import torch
import triton
import triton.language as tl


@triton.jit
def add_up(lengths, result, count: tl.constexpr):
    total = 0
    for k in range(tl.max(tl.load(lengths + tl.arange(0, count)))):
        total += k
    tl.store(result, total)


said = f"Triton {triton.__version__}, NumPy {numpy.__version__}:"
lengths, result = torch.tensor([1, 5, 3, 2], dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
try:
    add_up[(1,)](lengths, result, 4)
except Exception as error:
    print(said, f"{type(error).__name__}: {error}")
    sys.exit("0-dimensional" not in str(error))
print(said, f"0 + 1 + 2 + 3 + 4 = {result.item()}")
sys.exit(2 if result.item() == 10 else 1)
PY
run() { TRITON_INTERPRET=1 PYTHONWARNINGS=ignore PYTHONPATH=$1 "$folder/venv/bin/python" "$folder/loop.py" && ended=0 || ended=$?; }
run "$folder/numpy-2.3.5" && [ "$ended" = 2 ]
run "$folder/numpy-2.4.6" && [ "$ended" = 0 ]
run "$folder/triton-3.7.0:$folder/numpy-2.4.6" && [ "$ended" = 2 ]
