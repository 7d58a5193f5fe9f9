#!/usr/bin/env bash
# onnxruntime 1.32.0: a Resize with antialias makes 0 of all negative numbers in int8 tensors, and so do models that its quantizer made.
#
# Expected: what ONNX says of Resize, each number of the result is a weighted mean of numbers of the input, also for int8, which the operator
# takes and onnxruntime runs: an input of nothing but -50 stays -50, as it does without antialias, in float32 and in int32.
# Seen: on the CPU the result is clamped as if it were uint8, so that what is negative becomes 0; positive numbers are right. quantize_static
# writes such operators with QuantFormat.QOperator and its default type of activations, QInt8: the model loses the negative half of
# what goes through the resize, without an error or a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import logging
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

logging.disable(logging.WARNING)
onnxruntime.set_default_logger_severity(3)
TYPES = {np.int8: TensorProto.INT8, np.int32: TensorProto.INT32, np.float32: TensorProto.FLOAT}


def model(dtype, antialias, convolution=False):
    """A resize from 64 x 64 to 16 x 16, behind a convolution that leaves the picture as it is or not."""
    constants = [numpy_helper.from_array(np.array([1, 1, 16, 16]), "size")]
    nodes = [helper.make_node("Resize", ["seen" if convolution else "x", "", "", "size"], ["y"], mode="linear", antialias=antialias)]
    if convolution:
        constants.append(numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "weight"))
        nodes.insert(0, helper.make_node("Conv", ["x", "weight"], ["seen"]))
    shapes = (("x", [1, 1, 64, 64]), ("y", [1, 1, 16, 16]))
    x, y = (helper.make_tensor_value_info(name, TYPES[dtype], shape) for name, shape in shapes)
    graph = helper.make_graph(nodes, "resize", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def run(model, x):
    serialized = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(serialized, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


print("onnxruntime", onnxruntime.__version__)
direct = {}
for dtype in TYPES:
    for antialias in (0, 1):
        for value in (-50, 50):
            result = run(model(dtype, antialias), np.full((1, 1, 64, 64), value, dtype))
            direct[dtype.__name__, antialias, value] = int(np.abs(result.astype(float) - value).max())
            print(f"{dtype.__name__}, antialias={antialias}: {value} becomes {np.unique(result).tolist()}")
wrong = {case for case, error in direct.items() if error > 0}

ramp = np.broadcast_to(np.linspace(-1, 1, 64, dtype=np.float32), (1, 1, 64, 64)).copy()


class Ramp(CalibrationDataReader):
    def __init__(self):
        self.rows = iter([{"x": ramp}])

    def get_next(self):
        return next(self.rows, None)


errors = {}
for antialias in (0, 1):
    onnx.save(model(np.float32, antialias, convolution=True), "float.onnx")
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        quantize_static("float.onnx", "quantized.onnx", Ramp(), quant_format=form)
        errors[antialias, form.name] = float(np.abs(run("quantized.onnx", ramp) - run("float.onnx", ramp)).max())
        print(f"a ramp from -1 to 1, quantize_static with {form.name}, antialias={antialias}: off by up to {errors[antialias, form.name]:.2f}")
off = {case for case, error in errors.items() if error > 0.05}
sys.exit(not (wrong == {("int8", 1, -50)} and off == {(1, "QOperator")}))
PY
