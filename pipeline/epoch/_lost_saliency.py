"""Checks that the saliency network has not diverged, with an error that names the samples."""

from collections.abc import Sequence

from torch import nn

from foveal.sampler import Zoomed
from foveal.sampler.zooms import lost_images


def check_saliency(zoomed: Zoomed, zoom: nn.Module, names: Sequence[str]) -> None:
    """Raise if the saliency of some images is not finite.

    On a GPU nothing is checked, because that would wait for the device in every step. There the images are NaN, and so is
    the loss.

    Raises:
        ValueError: The saliency of an image is NaN; the message names the network and the images.
    """
    if zoomed.saliency.device.type != "cpu":
        return
    lost = lost_images(zoomed.saliency)
    if bool(lost.any()):
        those = ", ".join(name for name, each in zip(names, lost.tolist(), strict=True) if each)
        raise ValueError(
            f"saliency must be finite, got NaN or infinite logits from {network_name(zoom)} for {those} – its weights have "
            "diverged, or its numbers are too large for half precision."
        )


def network_name(zoom: nn.Module) -> str:
    """Return the class of the module that decides where to zoom: the saliency, the scorer, or the zoom itself."""
    parts = ((name.rpartition(".")[2], part) for name, part in zoom.named_modules())
    return type(next((part for name, part in parts if name in ("saliency", "score")), zoom)).__name__
