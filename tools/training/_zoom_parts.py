"""What of a zoom `foveal train` trains in its own way."""

from torch import nn

from foveal.sampler import PriorSaliency, TrunkSaliency


def trunks_in(module: nn.Module) -> list[TrunkSaliency]:
    """Return the pretrained trunks that a zoom or a saliency network has."""
    return [each for each in module.modules() if isinstance(each, TrunkSaliency)]


def priors_in(module: nn.Module) -> list[PriorSaliency]:
    """Return what a trial can be held on, and a classifier can teach."""
    return [each for each in module.modules() if isinstance(each, PriorSaliency)]
