"""Makes the zoom that a command line describes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foveal.sampler import (
    BoxSaliency,
    MapSaliency,
    NJetSaliencyNet,
    PatchSampler,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    ScoreNet,
    SpectralSaliency,
    UniformSampler,
)
from foveal.sampler.zooms import is_checkpoint
from foveal.tools.console.sample_options import map_field
from foveal.tools.console.zoom_choice import ZoomChoice

PLAIN_PIXELS: dict[str, Any] = {"mean": None, "std": None, "dtype": None, "channels_last": False}
"""Settings of a sampler whose images are shown or written: its checkpoint may say that they are normalised."""


def choose_patches(out_size: int, saliency: str, count: int) -> PatchSampler:
    """Return a frozen sampler of patches.

    Args:
        out_size: Height and width of a patch in pixels.
        saliency: ``"spectral"``, or a file that ``torch.save`` wrote: the ``state_dict`` of a :class:`ScoreNet`, or of a
            sampler that has one.
        count: Number of patches of each image.

    Raises:
        ValueError: ``saliency`` is neither.
    """
    # Sixteen by sixteen cells are coarser than a network's map, so that the best patches lie in different places.
    score = (
        SpectralSaliency((16, 16), frame="cells")
        if saliency == "spectral"
        else _trained(Path(saliency), (ScoreNet,), "score")
    )
    return PatchSampler(count, out_size, score=score).eval().requires_grad_(requires_grad=False)


def choose_zoom(
    out_size: int,
    saliency: str,
    choice: ZoomChoice | None = None,
    *,
    boxes_from: str | None = None,
    maps_from: str | None = None,
) -> SaliencySampler | UniformSampler:
    """Return a frozen sampler.

    Args:
        out_size: Height and width of its output in pixels.
        saliency: ``"spectral"``, ``"uniform"`` for no zoom at all, ``"boxes"``, ``"map"``, or a file: one that
            :meth:`SaliencySampler.save_checkpoint` wrote, as ``foveal train`` does, or one that ``torch.save`` wrote, the
            ``state_dict`` of a :class:`SaliencyNet`, :class:`SaliencyUNet`, :class:`ResNet18Saliency` (which then looks at
            224 x 224 pixels),
            :class:`NJetSaliencyNet` or :class:`PriorSaliency` (with the sampler's own defaults), or of a sampler that has one.
        choice: The settings of the zoom; None for the defaults. A file of weights alone counts as no file: its zoom has the
            defaults of a choice, but with a :class:`PriorSaliency`, which has a gain of its own, those of the sampler.
        boxes_from: The field that holds a sample's boxes, for ``"boxes"``.
        maps_from: The field that holds a sample's saliency map, for ``"map"``.

    Raises:
        ValueError: ``saliency`` is none of them, or needs a field that is not given; or a setting is out of range, or given
            for no zoom.
    """
    choice = choice or ZoomChoice()
    if saliency == "uniform":
        choice.refuse_given("saliency='uniform'", "a uniform resize has no zoom")
        return UniformSampler(out_size)
    if _is_checkpoint(Path(saliency)):
        zoom = SaliencySampler.from_checkpoint(saliency, out_size=out_size, **PLAIN_PIXELS, **choice.chosen)
    else:
        network = _network(saliency, boxes_from, maps_from)
        zoom = SaliencySampler(out_size, saliency=network, **_settings_for(network, choice))
    choice.refuse_width_of(zoom.family)
    return zoom.eval().requires_grad_(requires_grad=False)


def _settings_for(network: nn.Module, choice: ZoomChoice) -> dict[str, Any]:
    """Return the settings of the sampler of a network that came without them."""
    match network:
        case PriorSaliency():
            return choice.chosen  # it has a gain of its own
        case ResNet18Saliency():
            return {**choice.of_new_zoom, "lowres_size": (224, 224)}
        case _:
            return choice.of_new_zoom


def _is_checkpoint(path: Path) -> bool:
    try:
        return path.is_file() and is_checkpoint(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # noqa: BLE001 - of many kinds, for a file that may hold anything; said where it is read as weights
        return False


def _check_given(saliency: str, boxes_from: str | None, maps_from: str | None) -> None:
    if saliency == "boxes" and boxes_from is None:
        raise ValueError("boxes must be given with saliency='boxes', got none – add --boxes json:boxes.")
    if saliency == "map" and maps_from is None:
        raise ValueError(
            "saliency_member must be given with saliency='map', got none – give --saliency-member attention.npy in its place."
        )


def _network(saliency: str, boxes_from: str | None, maps_from: str | None) -> nn.Module:
    _check_given(saliency, boxes_from, maps_from)
    match saliency:
        case "spectral":
            return SpectralSaliency()
        case "boxes":
            return BoxSaliency(boxes_from)
        case "map":
            map_field(maps_from or "")
            return MapSaliency(maps_from)
        case _:
            kinds = (
                SaliencyNet,
                SaliencyUNet,
                ResNet18Saliency,
                NJetSaliencyNet,
                PriorSaliency,
                _earlier_prior,
            )
            return _trained(Path(saliency), kinds, "saliency")


def _trained(path: Path, kinds: Sequence[Callable[[], nn.Module]], part: str) -> nn.Module:
    """Return a network with its weights from a file, which may also hold the weights of a whole sampler.

    The names of the weights tell the kind of network.
    """
    if not path.is_file():
        raise ValueError(
            f"saliency must be spectral, uniform, boxes or a file of weights that exists, got {str(path)!r} – write one with "
            "torch.save(zoom.state_dict(), path)."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds; torch's own words advise to run what is in the file
        raise ValueError(
            f"saliency must be a file that torch.save wrote, with weights alone, got {str(path)!r} – such as run/saliency.pt, which "
            "foveal train writes."
        ) from error
    candidates = [kind() for kind in kinds]
    try:
        # The names in a sampler's file begin with the name of the part that the network is.
        if any(name.startswith(f"{part}.") for name in state):
            holders: list[nn.Module] = [nn.ModuleDict({part: network}) for network in candidates]
        else:
            holders = candidates
        pairs = list(zip(holders, candidates, strict=True))
        of_these = (pair for pair in pairs if _named_weights(pair[0].state_dict()) == _named_weights(state))
        holder, network = next(of_these, pairs[0])
        holder.load_state_dict(state)
    except Exception as error:  # of many kinds, for a file that may hold anything
        words = str(error).splitlines()[0]
        raise ValueError(
            f"saliency must be the state_dict of a {_named(candidates)}, or of a sampler with one, got {str(path)!r}: {words}"
        ) from error
    return network


def _named_weights(state: Mapping[str, Any]) -> set[str]:
    """Return the names that tell the kind of network; priors of earlier versions had no weights of their own."""
    return {name for name in state if not name.endswith("prior.scaled_weights")}


def _earlier_prior() -> PriorSaliency:
    """Return the default of earlier versions."""
    return PriorSaliency(SaliencyNet(zero_init=True))


def _named(networks: Sequence[nn.Module]) -> str:
    *others, last = dict.fromkeys(type(network).__name__ for network in networks)
    return f"{', '.join(others)} or {last}" if others else str(last)
