"""The values that options of the command line can be chosen from, as far as the library has no name for them.

``--help`` must not load torch: so they are defined here, where the code that loads torch imports them from.
"""

from typing import Literal

AccuracyTaskName = Literal["digits-colour", "digits", "coins", "roads"]
Amp = Literal["off", "bf16", "fp16"]
DemoZoomName = Literal["saliency", "patches", "mixed"]
ImageFormat = Literal["jpg", "webp", "png", "png16", "npy"]
TrainZoomName = Literal["saliency", "uniform"]

# As foveal.pipeline.decode and foveal.pipeline.fields have them, which need torch to be imported: a test holds both equal.
MAX_PIXELS = 178_956_970
IMAGE = "jpg;jpeg;png;webp"
