"""Pretrained trunks by name, from timm or torchvision, with weights from a file: modules that return features at several scales."""

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Finer features than an eighth of the image are edges and colours, which the low-resolution copy shows by itself.
_FINEST = 8
# Where training scripts put the weights in their checkpoints.
_WEIGHTS_UNDER = ("state_dict_ema", "model_ema", "state_dict", "model")


def make_trunk(name: str, weights: str | os.PathLike[str] | None) -> nn.Module:
    """Return the trunk of a classifier such as ``"timm:resnet18"``, which returns features from fine to coarse.

    Raises:
        ModuleNotFoundError: The library is not installed.
        ValueError: There is no such model, or the file lacks weights of the trunk.
    """
    library, _, model = name.partition(":")
    match library:
        case "timm":
            trunk: nn.Module = _Timm(
                _imported("timm", name).create_model(model, pretrained=False, num_classes=0)
            )
        case "torchvision":
            trunk = _Torchvision(_imported("torchvision.models", name).get_model(model, weights=None), name)
        case _:
            raise ValueError(f"trunk must be 'timm:NAME' or 'torchvision:NAME', got {name!r}.")
    if weights is not None:
        load_trunk(trunk, weights)
    return trunk


def load_trunk(trunk: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a classifier's weights; nothing in the file is run, and the weights of its classes are left out.

    Raises:
        ValueError: The file lacks weights of the trunk, or has them in other shapes.
    """
    model = getattr(trunk, "model", trunk)
    found = _weights_in(path)
    wanted = {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}
    if missing := sorted(wanted - found.keys()):
        raise ValueError(
            f"weights must hold all weights of {type(model).__name__}, got {os.fspath(path)!r} without {missing[0]!r} and "
            f"{len(missing) - 1} more – is the file that of another model?"
        )
    try:
        model.load_state_dict({key: found[key] for key in model.state_dict() if key in found}, strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"weights must fit {type(model).__name__}, got {os.fspath(path)!r}: {str(error).splitlines()[1].strip()}"
        ) from error


def _weights_in(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    if Path(path).suffix == ".safetensors":
        loaded: Mapping[str, Tensor] = _imported("safetensors.torch", os.fspath(path)).load_file(path)
        return loaded
    content = torch.load(path, map_location="cpu", weights_only=True)
    for under in _WEIGHTS_UNDER:
        if isinstance(content, dict) and isinstance(content.get(under), Mapping):
            content = content[under]
    return {key.removeprefix("module."): value for key, value in content.items()}


def _imported(module: str, wanted: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{wanted!r} needs {module.partition('.')[0]}: pip install {module.partition('.')[0]}"
        ) from error


class _Timm(nn.Module):
    """A model of timm, read at the last layer of each scale."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        if not hasattr(model, "forward_intermediates"):
            raise ValueError(
                f"trunk must be a model of timm with forward_intermediates, got {type(model).__name__} – pass a module that "
                "returns features."
            )
        reductions = [each["reduction"] for each in model.feature_info]
        last = {reduction: index for index, reduction in enumerate(reductions)}
        self._indices = [index for reduction, index in last.items() if reduction >= _FINEST] or [
            len(reductions) - 1
        ]

    @property
    def normalisation(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and std of the images that the model was trained with."""
        return self.model.default_cfg["mean"], self.model.default_cfg["std"]

    def forward(
        self, images: Float[Tensor, "batch 3 _height _width"]
    ) -> list[Float[Tensor, "batch _channel _rows _cols"]]:
        features: list[Tensor] = self.model.forward_intermediates(
            images, indices=self._indices, intermediates_only=True
        )
        return features


class _Torchvision(nn.Module):
    """A model of torchvision, read at the last layer of each scale."""

    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        if hasattr(model, "layer4"):
            kept = [model.conv1, model.bn1, model.relu, model.maxpool]
            kept += [model.layer1, model.layer2, model.layer3, model.layer4]
            self.model = _without(model, "fc")
        elif isinstance(getattr(model, "features", None), nn.Sequential):
            kept, self.model = list(model.features), _without(model, "classifier")
        else:
            raise ValueError(
                f"trunk must be a model of torchvision with layers 1 to 4 or features, got {name!r} – pass a module that "
                "returns features."
            )
        self._kept = kept

    def forward(
        self, images: Float[Tensor, "batch 3 _height _width"]
    ) -> list[Float[Tensor, "batch _channel _rows _cols"]]:
        last: dict[int, Tensor] = {}
        for features in self._each(images):
            last[images.shape[2] // features.shape[2]] = features
        return [each for times, each in last.items() if times >= _FINEST] or [features]

    def _each(self, features: Tensor) -> Iterator[Tensor]:
        for layer in self._kept:
            features = layer(features)
            yield features


def _without(model: nn.Module, head: str) -> nn.Module:
    """Return the model without the layer of its classes."""
    setattr(model, head, nn.Identity())
    return model
