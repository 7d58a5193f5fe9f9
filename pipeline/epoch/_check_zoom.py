"""What every user of a zoom looks at first."""

from typing import Any

from torch import nn


def check_zoom(zoom: Any) -> None:
    """Refuse what is no sampler.

    Raises:
        TypeError: It is no module.
    """
    if not isinstance(zoom, nn.Module):
        raise TypeError(f"zoom must be a sampler module, got {zoom!r} – for example SaliencySampler(224).")


def unwrapped(zoom: nn.Module) -> nn.Module:
    """DistributedDataParallel has the sampler's attributes one level down."""
    return zoom.module if isinstance(zoom, nn.parallel.DistributedDataParallel) else zoom
