"""A trained zoom in one file with its settings and weights, so that it zooms as it was trained."""

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foveal.sampler.grids import GridSettings
from foveal.sampler.njet import NJetSaliencyNet
from foveal.sampler.saliency import (
    BoxSaliency,
    FixedSaliency,
    LearnedSpectralSaliency,
    MapChannelSaliency,
    MapSaliency,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencyUNet,
    SpectralSaliency,
    TrunkSaliency,
)
from foveal.sampler.zooms._plain_weights import load_plain
from foveal.sampler.zooms._zoom_needs import unwrapped

VERSION = 2
NETWORKS: dict[str, type[SaliencyNet | SaliencyUNet | ResNet18Saliency]] = {
    kind.__name__: kind for kind in (SaliencyNet, SaliencyUNet, ResNet18Saliency, NJetSaliencyNet)
}
"""The networks that can be made from a checkpoint alone, by their names and ``map_size``."""

_USUAL = {"channels": 3, "order": 2}
"""Arguments of some of them, and what they are if a checkpoint does not store them."""

_MADE: dict[type[nn.Module], tuple[str, ...]] = {
    SpectralSaliency: ("map_size", "analysis_px", "sigma", "uniform_share", "power", "frame"),
    LearnedSpectralSaliency: ("map_size", "powers"),
    BoxSaliency: ("boxes_from", "map_size", "amplitude", "bandwidth"),
    MapSaliency: ("maps_from", "map_size", "floor"),
    TrunkSaliency: ("trunk", "frozen", "map_size", "lowres_size", "mean", "std"),
}
"""Other saliency modules that can be made, and the arguments that are stored for them."""

_MADE_OF_PARTS: dict[type[nn.Module], tuple[str, ...]] = {
    PriorSaliency: ("gain",),
    MapChannelSaliency: ("maps_from",),
}
"""Likewise, for modules whose other arguments are modules of the same names, which are described in turn."""


def describe_network(network: nn.Module) -> dict[str, Any]:
    """Return the description of a network for a checkpoint: the name of its class, and the arguments to make it again.

    That is ``map_size`` for one of :data:`NETWORKS`, ``arguments`` for other saliency of Foveal's, and the parts' own
    descriptions for a :class:`PriorSaliency` or :class:`MapChannelSaliency`. A module of the user's own has none of them. Wrappers, as of
    ``torch.compile``, are left out.
    """
    network = unwrapped(network)
    kind = _kind_of(network)
    name = kind.__name__
    known = NETWORKS.get(name) is kind
    described: dict[str, Any] = {
        "network": name,
        "map_size": tuple(getattr(network, "map_size", ())) if known else None,
    }
    if known:
        described |= {name: getattr(network, name) for name in _unusual(network)}
    if kind in _MADE_OF_PARTS:
        arguments = {name: getattr(network, name) for name in _MADE_OF_PARTS[kind]}
        parts = {part: describe_network(module) for part, module in network.named_children()}
        return {**described, "arguments": arguments, "parts": parts}
    if kind is FixedSaliency:
        return {**described, "arguments": {"shape": tuple(network.get_buffer("saliency").shape)}}
    if kind in _MADE and getattr(network, "trunk", "") is not None:  # a trunk may be the user's own
        return {**described, "arguments": {name: getattr(network, name) for name in _MADE[kind]}}
    return described


def is_checkpoint(content: object) -> bool:
    """Return whether the content of a file is a zoom with its settings, rather than weights alone."""
    return isinstance(content, dict) and {"version", "settings", "network", "weights"} <= content.keys()


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run.

    Raises:
        ValueError: The file is not a checkpoint, or is from a newer version.
    """
    try:
        content = torch.load(Path(path), map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many kinds, for a file that may hold anything
        raise ValueError(_not_ours(path)) from error
    if not is_checkpoint(content):
        raise ValueError(_not_ours(path))
    if content["version"] > VERSION:
        raise ValueError(
            f"checkpoint must be of version {VERSION} or older, got {content['version']!r} – update foveal."
        )
    return dict(content)


def settings_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the sampler's keywords from a checkpoint, whatever version wrote it."""
    settings = dict(checkpoint["settings"])
    names = [each.name for each in fields(GridSettings) if each.name in settings]
    grid = GridSettings.from_json({name: settings.pop(name) for name in names})
    return settings | asdict(grid)


def make_network(checkpoint: dict[str, Any], network: nn.Module | None) -> nn.Module:
    """Return the checkpoint's network with its weights: the given one, or a new one made from its description.

    Raises:
        ValueError: It is not one of Foveal's networks and none was given, or its weights do not fit.
    """
    name = checkpoint["network"]
    if network is None:
        network = _made(checkpoint)
    try:
        load_plain(network, checkpoint["weights"])
    except RuntimeError as error:
        raise ValueError(
            f"saliency must have the weights of the {name} that was saved, got {type(network).__name__}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return network


def _made(described: Mapping[str, Any]) -> nn.Module:
    """Return a new module of the kind that :func:`describe_network` described."""
    name, arguments = described["network"], described.get("arguments", {})
    if name in NETWORKS and described["map_size"] is not None:
        return _of_shape(NETWORKS[name], described)
    for kind, others in _MADE_OF_PARTS.items():
        if name == kind.__name__ and "parts" in described:
            parts = {part: _made(description) for part, description in described["parts"].items()}
            # Earlier versions stored more arguments.
            return kind(**parts, **{other: arguments[other] for other in others})
    if name == FixedSaliency.__name__ and arguments:
        return FixedSaliency(torch.ones(arguments["shape"]))
    for kind in _MADE:
        if name == kind.__name__ and arguments:
            return kind(**arguments)
    raise ValueError(
        f"saliency must be given for a network that is none of {', '.join(NETWORKS)}, got None for {name!r} – "
        "make it as for training and pass it."
    )


def _of_shape(kind: type[nn.Module], described: Mapping[str, Any]) -> nn.Module:
    """Return one of :data:`NETWORKS`."""
    return kind(
        tuple(described["map_size"]), **{name: described[name] for name in _USUAL if name in described}
    )


def _kind_of(network: nn.Module) -> type[nn.Module]:
    """Return a network's class, also if ``fully_shard`` has put it into one that it made."""
    kind = type(network)
    first, *others = kind.__bases__
    return others[0] if others and first.__module__.startswith("torch.distributed.") else kind


def _unusual(network: nn.Module) -> list[str]:
    """Return which arguments of one of :data:`NETWORKS` are stored: those that differ from their defaults."""
    return [name for name, usual in _USUAL.items() if getattr(network, name, usual) != usual]


def _not_ours(path: str | os.PathLike[str]) -> str:
    return (
        f"checkpoint must be a file that SaliencySampler.save_checkpoint wrote, got {os.fspath(path)!r} – for weights "
        "alone use load_state_dict."
    )
