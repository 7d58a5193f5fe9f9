#!/usr/bin/env bash
# torch 2.13.0: torch.onnx.export writes Python numbers with float32's digits, also where they meet float64 tensors.
#
# Expected: torch.pi * x of a float64 tensor has the digits of float64 in ONNX Runtime, as in torch and in a program of torch.export.
# Seen: the constant in the file is of type double and has the value 3.1415927410125732, that of pi in float32; the result is off by
# 9e-8 of itself. A cosine of large multiples of pi, as in a discrete cosine transform, is off by 5e-6.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2

cd "$folder"
venv/bin/python - <<'PY'
import sys

import onnxruntime
import torch


class Product(torch.nn.Module):
    def forward(self, x):
        return torch.pi * x


x = torch.ones(1, dtype=torch.float64)
torch.onnx.export(Product(), (x,), "product.onnx", dynamo=True, verbose=False)
session = onnxruntime.InferenceSession("product.onnx")
[product] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
exported = torch.export.export(Product(), (x,)).module()(x).item()
print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
print("in ONNX Runtime", product.dtype, product[0])
print("by torch.export", exported)
sys.exit((str(product.dtype), float(product[0]), exported) != ("float64", 3.1415927410125732, torch.pi))
PY
