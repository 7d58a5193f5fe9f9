"""Choices that the command line offers and the folders below it act on, and the defaults that both share.

They stand here, where importing them loads nothing else: ``foveal --help`` must not wait for torch. Each choice is
exported at the door of the folder that acts on it.
"""

from typing import Literal

Family = Literal["kernel", "separable", "cdf"]
"""How saliency attracts points, as :func:`foveal.sampler.zoom_grid` takes it."""

DecodeMode = Literal["dali", "auto"]
"""Which decoder decodes an image, as :class:`foveal.pipeline.ZoomLoader` takes it."""

Color = Literal["srgb"]
"""What colours are converted to by an embedded profile, as :class:`foveal.pipeline.ZoomLoader` takes it."""

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
"""What the four numbers of a box are, as :class:`foveal.pipeline.Boxes` takes it."""

PointFormat = Literal["xy", "xyv"]
"""What a point is: two numbers, or three, of which the last is its visibility, or a score: 0 if the point is absent."""

Frame = Literal["pixel", "fraction"]
"""What the coordinates of a label count, as :class:`foveal.pipeline.Boxes` takes it."""

# The zoom that learns, wherever it is made: SaliencySampler(size), `foveal train`, `foveal bench accuracy` (docs/train.md).
FWHM_CELLS = 8.0
MAX_ZOOM = 5.0
TEMPERATURE = 1.0
PRIOR_GAIN = 3.0
PRIOR_POWERS = (2.0, 6.0)
# How strongly the classifier's evidence teaches the zoom, relative to the loss.
EVIDENCE = 1.0
# Share of the steps of `foveal train` in which the zoom has to show that it helps.
TRIAL = 0.4

# Passes in which boxes teach a saliency network, in `foveal train` and from Python.
TEACH_EPOCHS = 8
