#!/usr/bin/env bash
# Triton 3.6.0 and 3.7.1, which torch 2.11 and 2.13 pin on Linux: their interpreter refuses kernels that the compiler takes.
#
# Expected: TRITON_INTERPRET=1 runs what Triton compiles, so that kernels can be tested without a GPU.
# Seen with 3.6.0 and NumPy 2.4: `for k in range(tl.max(...))` raises TypeError('only 0-dimensional arrays can be converted to Python
# scalars'). The interpreter keeps a scalar in an array of one element and calls int() on it, which NumPy no longer allows.
# Seen with 3.7.1: a constexpr times a tensor, `LIMIT * value`, is a constexpr that holds a tensor, and operators refuse it ("cannot convert
# ... tensor'> to tensor"); `value * LIMIT` works. 3.6.0 had taken it, and 3.9.0 takes both kernels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy==2.4.6
for triton in 3.6.0 3.7.1 3.9.0; do
  "$folder/venv/bin/pip" install --quiet --target "$folder/triton-$triton" --no-deps triton==$triton
done
"$folder/venv/bin/pip" install --quiet --target "$folder/numpy-2.3.5" numpy==2.3.5

cat > "$folder/kernels.py" <<'PY'
import sys

import numpy
import torch
import triton
import triton.language as tl

LIMIT = tl.constexpr(3.0)


@triton.jit
def add_up(lengths, result, count: tl.constexpr):
    total = 0
    for k in range(tl.max(tl.load(lengths + tl.arange(0, count)))):
        total += k
    tl.store(result, total)


@triton.jit
def bounded(values, result, count: tl.constexpr):
    value = tl.load(values)
    tl.store(result, tl.minimum(value + count, LIMIT * value))


outcomes = []
for kernel, dtype in ((add_up, torch.int32), (bounded, torch.float32)):
    numbers, result = torch.tensor([5, 1, 3, 2], dtype=dtype), torch.zeros(1, dtype=dtype)
    try:
        kernel[(1,)](numbers, result, 4)
        outcomes.append(f"{result.item():g}")
    except Exception as error:
        outcomes.append("0-dimensional" if "0-dimensional" in str(error) else "tensor to tensor" if "tensor'> to tensor" in str(error) else repr(error))
print(f"Triton {triton.__version__}, NumPy {numpy.__version__}: loop {outcomes[0]}, constexpr times tensor {outcomes[1]}")
sys.exit(outcomes != sys.argv[1:])
PY
run() { TRITON_INTERPRET=1 PYTHONWARNINGS=ignore PYTHONPATH=$1 "$folder/venv/bin/python" "$folder/kernels.py" "${@:2}"; }
run "$folder/triton-3.6.0:$folder/numpy-2.3.5" 10 9
run "$folder/triton-3.6.0" 0-dimensional 9
run "$folder/triton-3.7.1" 10 "tensor to tensor"
run "$folder/triton-3.9.0" 10 9
