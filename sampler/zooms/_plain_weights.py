"""The weights of a network, by the names that they have without wrappers around its parts."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from foveal.sampler.saliency import is_shard
from foveal.sampler.zooms._zoom_needs import name_inside


def plain_weights(network: nn.Module) -> dict[str, Any]:
    """Return a network's ``state_dict()`` as if nothing in it were compiled, averaged or otherwise wrapped.

    Raises:
        ValueError: This rank has only a part of the weights.
    """
    weights = network.state_dict()
    _check_whole(weights)
    names = _plain_names(network, weights)
    # What a wrapper has of its own, as an average the number of its steps, is no weight of the network.
    own = {name for path, wrapper in _wrappers(network) for name in _own_names(path, wrapper)}
    plain = OrderedDict((names[name], weight) for name, weight in weights.items() if name not in own)
    known = _metadata(weights)
    # Inside stands after its wrapper, and replaces it.
    return _with_metadata(plain, {new: known[old] for old, new in _plain_names(network, known).items()})


def load_plain(network: nn.Module, weights: Mapping[str, Any]) -> None:
    """Load what :func:`plain_weights` returned into a network, whatever its parts are wrapped in.

    Raises:
        RuntimeError: They do not fit.
    """
    if not _wrappers(network):
        network.load_state_dict(weights)
        return
    there, known = network.state_dict(), _metadata(weights)
    names = _plain_names(network, there)
    unknown = {name: weight for name, weight in weights.items() if name not in names.values()}
    fitting = {old: weights[new] for old, new in names.items() if new in weights}
    modules = _plain_names(network, _metadata(there))
    told = {old: known[new] for old, new in modules.items() if new in known}
    network.load_state_dict(_with_metadata(OrderedDict(fitting | unknown), told))


def _check_whole(weights: Mapping[str, Any]) -> None:
    for name, weight in weights.items():
        if is_shard(weight):
            raise ValueError(
                f"weights must be whole to be saved, got a shard of {name!r} – call torch.distributed.checkpoint.state_dict."
                "get_model_state_dict(zoom, options=StateDictOptions(full_state_dict=True)) on all ranks, load what it returns into a "
                "zoom that is not sharded, and save that."
            )


def _wrappers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the wrappers in a network, from outside to inside, and their names."""
    return [(path, module) for path, module in network.named_modules() if name_inside(module)]


def _own_names(path: str, wrapper: nn.Module) -> list[str]:
    own = [*wrapper.named_parameters(recurse=False), *wrapper.named_buffers(recurse=False)]
    return [f"{path}.{name}".lstrip(".") for name, _ in own]


def _plain_names(network: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Return the names of weights or modules without those of wrappers, by the names in the network."""
    plain = {name: name for name in names}
    for path, wrapper in reversed(_wrappers(network)):
        inside = f"{path}.{name_inside(wrapper)}".lstrip(".")
        for old, name in plain.items():
            if name == inside or name.startswith(f"{inside}."):
                plain[old] = (path + name.removeprefix(inside)).lstrip(".")
    return plain


def _metadata(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return what torch saves of each module beside the weights: its version, and the gain of a prior."""
    return dict(getattr(weights, "_metadata", {}))


def _with_metadata(weights: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    weights._metadata = metadata  # type: ignore[attr-defined]  # noqa: SLF001 - torch has no other place for it
    return weights
