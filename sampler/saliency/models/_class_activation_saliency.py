"""Saliency from a convolutional classifier: the evidence for its class."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import to_lattice
from foveal.sampler.saliency._log_shares import log_shares
from foveal.sampler.saliency.models._feature_places import FeaturePlaces
from foveal.sampler.saliency.models._model_saliency import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ModelSaliency,
    layer_of,
)


class ClassActivationSaliency(ModelSaliency):
    """Logits of the class activation map of the class that a classifier predicts (Zhou et al., CAM, CVPR 2016).

    Features of the last convolutional layer, weighted by the classifier's weights for that class, cut off at zero. Exact for
    a classifier that averages its features over the image and has one linear layer (ResNet, EfficientNet).

    Frozen (``classifier.requires_grad_(False)``), the model stays in ``eval()``; otherwise it is trained with the zoom. Where the
    features lie in the image is computed from the kernels, strides and paddings of the layers before; if a function that
    is not a module reduces the resolution, the features are assumed to tile the image. A ResNet's features are evenly
    spaced from edge to edge if ``lowres_size`` is a multiple of 32 plus one, such as 225.

    Args:
        model: From normalised (batch, 3, height, width) to (batch, classes). A hook stays on the layer.
        layer: Name of the layer that returns the features (batch, channels, rows, cols), such as ``"layer4"``.
        head: Name of the linear layer, or 1 x 1 convolution, that has the weights of the classes. The last linear layer if None.
        map_size: (rows, cols) of the map, or one number for both.
        lowres_size: (height, width) in pixels of the model's input. Give the sampler the same.
        mean: Mean of the model's normalisation; ImageNet's by default.
        std: Likewise.
        floor: Share of the saliency that is spread evenly, in [0, 1), because the evidence is zero over most of an image.

    Raises:
        ValueError: There is no such layer, or the weights of ``head`` are not for its features.

    Example:
        >>> resnet = torchvision.models.resnet50(weights="DEFAULT").requires_grad_(False)
        >>> saliency = ClassActivationSaliency(resnet, layer="layer4", lowres_size=(225, 225))
        >>> zoom = SaliencySampler(224, saliency=saliency, lowres_size=(225, 225))
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str,
        head: str | None = None,
        map_size: int | tuple[int, int] = (31, 31),
        lowres_size: int | tuple[int, int] = (224, 224),
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        floor: float = 0.1,
    ) -> None:
        super().__init__(model, map_size, lowres_size=lowres_size, mean=mean, std=std, floor=floor)
        self.layer = layer
        self.head = _last_linear(model) if head is None else head
        layer_of(model, layer).register_forward_hook(self._keep_features)
        places = FeaturePlaces(self.lowres_size)
        with places.watching(model):
            features = self.look_at_nothing(layer)
        if features.ndim != 4 or features.shape[1] != self._class_weights.shape[1]:
            raise ValueError(
                f"head must have weights for the features of {layer!r}, {tuple(features.shape[1:])!r}, got "
                f"{self._class_weights.shape[1]} to a class in {self.head!r}."
            )
        self._first, self._step = places.of(features)

    @property
    def _class_weights(self) -> Float[Tensor, "classes channels"]:
        weight: Tensor = layer_of(self.model, self.head).get_parameter("weight")
        return weight.flatten(1)

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return the logarithm of the evidence, one value per node of the map.

        Args:
            small: Images in [0, 1], not normalised; resized to ``lowres_size`` if they have another size.
        """
        scores, features = self.look(small, self.layer)
        if not isinstance(scores, Tensor) or scores.ndim != 2:
            raise ValueError(f"model must return (batch, classes), got {type(scores).__name__}.")
        weights = self._class_weights[scores.argmax(dim=1)]
        evidence = torch.einsum("bkhw,bk->bhw", features, weights)[:, None].float().relu()
        nodes = to_lattice(evidence, self.map_size, first=self._first, step=self._step)
        return log_shares(nodes, self.floor)

    def _keep_features(self, _layer: nn.Module, _args: object, output: Tensor) -> None:
        self.keep(output)


def _last_linear(model: nn.Module) -> str:
    names: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ValueError(
            f"head must be given for a model without a linear layer, got None for {type(model).__name__}."
        )
    return names[-1]
