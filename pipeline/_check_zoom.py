"""What every user of a zoom refuses first."""

from typing import Any

from torch import nn


def check_zoom(zoom: Any) -> None:
    """Refuse what is no sampler.

    Raises:
        TypeError: It is no module.
    """
    if not isinstance(zoom, nn.Module):
        raise TypeError(f"zoom must be a sampler module, got {zoom!r} – for example SaliencySampler(224).")
