"""Whether a graph is exported that shall have torch's own operators only, so that it runs where Foveal is not installed."""

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.frames import Images
from foveal.sampler.kernels import is_exporting


def in_exported_program(images: Images, grid: Float[Tensor, "batch height width 2"] | None = None) -> bool:
    """Whether a graph is being exported, in which a loop may take the place of Foveal's operators.

    The loop has no derivatives. A program of ``torch.export`` that may be trained, since images or grid want a gradient,
    keeps the operators, which have them; ONNX is for inference alone.
    """
    if not is_exporting():
        return False
    inputs = [each for each in (images, grid) if isinstance(each, Tensor)]
    learns = torch.is_grad_enabled() and any(each.requires_grad for each in inputs)
    return not learns or torch.onnx.is_in_onnx_export()
