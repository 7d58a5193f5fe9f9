"""The values that options of the command line can be chosen from, and a default.

``--help`` must not load torch. So the command line's own choices are defined here, where the code that loads torch imports
them from; those of the library cannot be imported without torch and are written again. A test holds them equal.
"""

from typing import Literal

AccuracyTaskName = Literal["digits-colour", "digits", "coins", "roads"]
Amp = Literal["off", "bf16", "fp16"]
DemoZoomName = Literal["saliency", "patches", "mixed"]
ImageFormat = Literal["jpg", "webp", "png", "npy"]
TrainZoomName = Literal["saliency", "uniform"]

# Written again: of foveal.pipeline and foveal.sampler.
BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
DecodeMode = Literal["dali", "auto"]
Family = Literal["kernel", "separable", "cdf"]
MAX_PIXELS = 178_956_970
