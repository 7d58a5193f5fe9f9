"""The choices of options that only the command line has; those that the library also has are in ``foveal._choices``.

``--help`` must not load torch. So these types are defined here, and the code that needs torch imports them from here.
"""

from typing import Literal

AccuracyTaskName = Literal["pcb", "coffee", "digits-colour", "digits", "coins", "roads"]
Amp = Literal["off", "bf16", "fp16"]
DemoZoomName = Literal["saliency", "patches", "mixed"]
ImageFormat = Literal["jpg", "webp", "png", "png16", "npy"]
TrainLog = Literal["json", "tensorboard"]
TrainPriorName = Literal["spectral", "map", "none"]
TrainZoomName = Literal["saliency", "uniform"]

# Equal to those in foveal.pipeline.decoding and foveal.pipeline.fields, whose import would load torch; a test compares them.
MAX_PIXELS = 178_956_970
IMAGE = "jpg;jpeg;png;webp"
