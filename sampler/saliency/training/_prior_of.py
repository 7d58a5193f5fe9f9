"""The part of a zoom that is tried and taught."""

from torch import nn

from foveal.sampler.saliency._prior_saliency import PriorSaliency


def prior_of(zoom: nn.Module) -> PriorSaliency | None:
    """Return the :class:`PriorSaliency` of a zoom, whatever it is wrapped in; None if it has none.

    Raises:
        TypeError: The zoom is no module.
        ValueError: There is more than one.
    """
    if not isinstance(zoom, nn.Module):
        raise TypeError(
            f"zoom must be a torch.nn.Module, got {type(zoom).__name__} – give the sampler that is trained."
        )
    found = [each for each in zoom.modules() if isinstance(each, PriorSaliency)]
    if len(found) > 1:
        raise ValueError(f"zoom must have at most one PriorSaliency, got {len(found)}.")
    return found[0] if found else None


def learns(module: nn.Module) -> bool:
    """Return whether a module has weights that are trained."""
    return any(weight.requires_grad for weight in module.parameters())
