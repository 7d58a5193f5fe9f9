"""The training mode of a network of which some parts may be frozen."""

from torch import nn

from foveal.sampler.saliency.training import learns


def set_training(module: nn.Module) -> None:
    """Set the training mode, but ``eval()`` for each part whose weights are all frozen.

    In training mode, batch norm would change the statistics of a part that has to stay as it is, and its results for an image would depend on the
    rest of the batch. A part without weights, such as dropout, follows the part that it is in.
    """
    module.train()
    for part in module.modules():
        if any(True for _ in part.parameters()) and not learns(part):
            part.eval()
