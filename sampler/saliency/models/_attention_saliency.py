"""Saliency from a vision transformer: the attention of its class token."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import to_lattice
from foveal.sampler.saliency._log_shares import log_shares
from foveal.sampler.saliency.models._model_saliency import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ModelSaliency,
    layer_of,
)

_MULTIHEAD = inspect.signature(nn.MultiheadAttention.forward)
# Attributes of timm's attention layers with a relative position bias.
_RELATIVE = ("relative_position_bias_table", "rel_pos")


class AttentionSaliency(ModelSaliency):
    """Logits of a vision transformer's attention to each patch (Caron et al., DINO, ICCV 2021).

    The map is the attention of the class token in one layer, averaged over its heads; for a transformer without a class
    token, the mean attention of all patches. Layers are :class:`torch.nn.MultiheadAttention`, as torchvision's ViTs and
    :class:`torch.nn.TransformerEncoderLayer` have, or modules with a linear layer ``qkv`` and ``num_heads``, as timm's and DINO's.

    Frozen (``vit.requires_grad_(False)``), the model stays in ``eval()``; otherwise it is trained with the zoom. Patches
    tile the image; their map is converted to the nodes that all saliency maps have (:func:`to_lattice`).

    Args:
        model: From normalised (batch, 3, height, width) to anything. A hook stays on the layer.
        layer: Name of the attention layer, as ``model.named_modules()`` has it. The last one if None.
        map_size: (rows, cols) of the map, or one number for both.
        lowres_size: (height, width) in pixels that the model was trained at. Give the sampler the same.
        mean: Mean of the model's normalisation; ImageNet's by default.
        std: Likewise.
        floor: Share of the saliency that is spread evenly, in [0, 1).

    Attributes:
        patches: (rows, cols) of the patches: the largest lattice of the image's aspect for which the layer has tokens.
            The tokens before them are the class token, which comes first, and registers.

    Raises:
        ValueError: There is no such layer, or it is not called with the tokens of whole images.

    Example:
        >>> vit = torchvision.models.vit_b_16(weights="DEFAULT").requires_grad_(False)
        >>> zoom = SaliencySampler(224, saliency=AttentionSaliency(vit), lowres_size=(224, 224))
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str | None = None,
        map_size: int | tuple[int, int] = (31, 31),
        lowres_size: int | tuple[int, int] = (224, 224),
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        floor: float = 0.0,
    ) -> None:
        super().__init__(model, map_size, lowres_size=lowres_size, mean=mean, std=std, floor=floor)
        self.layer = _last_attention(model) if layer is None else layer
        attention: Any = layer_of(model, self.layer)
        if isinstance(attention, nn.MultiheadAttention):
            attention.register_forward_pre_hook(_ask_for_weights, with_kwargs=True)
            attention.register_forward_hook(self._keep_weights)
        elif _has_qkv(attention):
            attention.register_forward_pre_hook(_refuse_more_than_tokens, with_kwargs=True)
            attention.qkv.register_forward_hook(self._keep_of_qkv)
        else:
            raise ValueError(
                "layer must be a torch.nn.MultiheadAttention, or have a linear layer qkv and num_heads, got "
                f"{type(attention).__name__} {self.layer!r}."
            )
        self.patches = _patches(self.look_at_nothing(self.layer).shape[-1], self.lowres_size)

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return the logarithm of the attention, one value per node of the map.

        Args:
            small: Images in [0, 1], not normalised; resized to ``lowres_size`` if they have another size.
        """
        heads = self.look(small, self.layer)[1]
        rows, cols = self.patches
        before = heads.shape[-1] - rows * cols
        paid = heads.float().mean(dim=1)
        paid = paid[:, 0] if before else paid.mean(dim=1)
        return log_shares(to_lattice(paid[:, before:].view(-1, 1, rows, cols), self.map_size), self.floor)

    def _keep_weights(self, _layer: nn.Module, _args: object, output: tuple[Tensor, Tensor]) -> None:
        self.keep(output[1])

    def _keep_of_qkv(
        self, _qkv: nn.Module, _args: object, output: Float[Tensor, "batch tokens _wide"]
    ) -> None:
        attention: Any = layer_of(self.model, self.layer)
        split = output.view(*output.shape[:2], 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        query = getattr(attention, "q_norm", nn.Identity())(split[0])
        key = getattr(attention, "k_norm", nn.Identity())(split[1])
        scale = getattr(attention, "scale", query.shape[-1] ** -0.5)
        self.keep((scale * query @ key.mT).softmax(dim=-1))


def _ask_for_weights(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[()], dict[str, Any]]:
    """Call the layer so that it returns the weights of each head."""
    given = dict(_MULTIHEAD.bind(layer, *args, **kwargs).arguments)
    del given["self"]
    return (), {**given, "need_weights": True, "average_attn_weights": False}


def _refuse_more_than_tokens(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise for layers with further operations on queries, keys or their products, which the attention computed here would lack."""
    told = any(isinstance(each, Tensor) for each in (*args[1:], *kwargs.values()))
    if told or any(getattr(layer, name, None) is not None for name in _RELATIVE):
        raise ValueError(
            f"layer must be an attention of tokens alone, got {type(layer).__name__} with relative positions or a mask."
        )


def _has_qkv(module: nn.Module) -> bool:
    return isinstance(getattr(module, "qkv", None), nn.Linear) and hasattr(module, "num_heads")


def _last_attention(model: nn.Module) -> str:
    names: list[str] = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.MultiheadAttention) or _has_qkv(module)
    ]
    if not names:
        raise ValueError(
            f"model must have an attention layer, got {type(model).__name__}: ClassActivationSaliency takes convolutional "
            "classifiers."
        )
    return names[-1]


def _patches(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest rows and columns of an image's aspect for which there are tokens."""
    shared = math.gcd(*size)
    rows, cols = (side // shared for side in size)
    times = math.isqrt(tokens // (rows * cols))
    if not times:
        raise ValueError(
            f"lowres_size must have an aspect that {tokens} tokens can tile, got {size!r} – give the size of the training."
        )
    return times * rows, times * cols
