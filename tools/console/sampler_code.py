"""The Python code that makes a sampler, to be shown and copied."""

import inspect
from collections.abc import Mapping
from typing import Any

from foveal.sampler import SaliencySampler


def sampler_code(out_size: int, saliency: str, settings: Mapping[str, Any]) -> str:
    """Return the call that makes a :class:`SaliencySampler`; settings that are its defaults are left out.

    Args:
        out_size: Height and width of its output in pixels.
        saliency: The code that makes its saliency module.
        settings: Keywords of the sampler.
    """
    defaults = inspect.signature(SaliencySampler).parameters
    given = [f"{name}={value!r}" for name, value in settings.items() if value != defaults[name].default]
    return f"SaliencySampler({', '.join([str(out_size), f'saliency={saliency}', *given])})"
