"""Saliency from a pretrained trunk: features of a classifier, and a small head that learns what of them matters."""

import os
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import to_lattice
from foveal.sampler.saliency.models._feature_places import FeaturePlaces
from foveal.sampler.saliency.models._model_saliency import IMAGENET_MEAN, IMAGENET_STD, ModelSaliency
from foveal.sampler.saliency.models._trunks import make_trunk

_WIDTH = 32
_GROUPS = 4


class TrunkSaliency(ModelSaliency):
    """Logits from the features of a pretrained trunk, joined by a head that starts at zero.

    The head brings the features of each scale to 32 channels by a 1 x 1 convolution and to the nodes of the map
    (:func:`to_lattice`), adds them, and has one more 1 x 1 convolution. That one starts at zero, so before training the
    map is even, or in :class:`PriorSaliency` the prior's.

    The trunk is called in ``eval()``, also in training: its batch norms keep the statistics that came with the weights, so
    the same image gives the same map in any batch. An optimiser can give ``model.parameters()``, which are the trunk's, a learning rate of their own.

    Args:
        trunk: ``"timm:resnet18"`` or ``"torchvision:resnet18"``, with any model of theirs that returns features
            at several scales (that library must be installed); or a module of yours from normalised
            (batch, 3, height, width) to features (batch, channels, rows, cols), one tensor or several.
        weights: A file with the weights of that model, as ``torch.save(model.state_dict(), ...)`` or timm's training script write
            them, or ``.safetensors``. Nothing in it is run, and nothing is downloaded. None for random weights, or for a module that
            has its weights already.
        frozen: Whether the trunk's weights stay as they are.
        map_size: (rows, cols) of the map, or one number for both.
        lowres_size: (height, width) in pixels of the trunk's input. Give the sampler the same.
        mean: Mean of the trunk's normalisation; None for what timm says of its models, and otherwise ImageNet's.
        std: Likewise.

    Raises:
        ModuleNotFoundError: timm or torchvision is not installed.
        ValueError: There is no such model, the file lacks weights of it, or a module does not return features.

    Example:
        >>> network = TrunkSaliency("timm:resnet18", weights="resnet18.pth")
        >>> zoom = SaliencySampler(224, saliency=PriorSaliency(network), lowres_size=(224, 224))
    """

    def __init__(
        self,
        trunk: str | nn.Module,
        *,
        weights: str | os.PathLike[str] | None = None,
        frozen: bool = True,
        map_size: int | tuple[int, int] = (31, 31),
        lowres_size: int | tuple[int, int] = (224, 224),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if isinstance(trunk, nn.Module) and weights is not None:
            raise ValueError(
                f"weights must be None for a module, got {os.fspath(weights)!r} – load them into the module."
            )
        made = make_trunk(trunk, weights) if isinstance(trunk, str) else trunk
        own = getattr(made, "normalisation", (IMAGENET_MEAN, IMAGENET_STD))
        super().__init__(
            made,
            map_size,
            lowres_size=lowres_size,
            mean=own[0] if mean is None else mean,
            std=own[1] if std is None else std,
            floor=0.0,
        )
        self.trunk = trunk if isinstance(trunk, str) else None
        self.frozen = bool(frozen)
        if frozen:
            made.requires_grad_(False)
        places, first = FeaturePlaces(self.lowres_size), next(made.parameters(), torch.empty(0))
        made.eval()
        with torch.no_grad(), places.watching(made):
            scales = _several(made(torch.zeros(1, 3, *self.lowres_size, device=first.device)))
        self._lie = [places.of(each) for each in scales]
        self.joints = nn.ModuleList(nn.Conv2d(each.shape[1], _WIDTH, kernel_size=1) for each in scales)
        self.norm = nn.GroupNorm(_GROUPS, _WIDTH)
        # A softmax follows: it would not see a bias.
        self.head = nn.Conv2d(_WIDTH, 1, kernel_size=1, bias=False)
        nn.init.zeros_(self.head.weight)

    def train(self, mode: bool = True) -> "TrunkSaliency":
        """Set the training mode, but not that of the trunk."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per node of the map.

        Args:
            small: Images in [0, 1], not normalised; resized to ``lowres_size`` if they have another size.
        """
        scales = zip(_several(self.model(self._shown(small))), self.joints, self._lie, strict=True)
        nodes = [
            to_lattice(joint(features), self.map_size, first=first, step=step)
            for features, joint, (first, step) in scales
        ]
        logits: Tensor = self.head(self.norm(torch.stack(nodes).sum(dim=0)).relu())
        return logits

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return f"{self.trunk!r}, frozen={self.frozen!r}, map_size={self.map_size!r}, lowres_size={self.lowres_size!r}"


def _several(features: object) -> list[Float[Tensor, "batch _channel _rows _cols"]]:
    scales = list(features.values()) if isinstance(features, dict) else features
    scales = [scales] if isinstance(scales, Tensor) else scales
    if not isinstance(scales, list | tuple) or not scales or not all(_is_map(each) for each in scales):
        raise ValueError(
            f"trunk must return features (batch, channels, rows, cols), one tensor or several, got {type(features).__name__}."
        )
    return cast("list[Tensor]", list(scales))


def _is_map(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4
