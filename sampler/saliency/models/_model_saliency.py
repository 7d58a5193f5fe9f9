"""The base of saliency that is computed from another model's inner values: it calls the model and reads one of its layers."""

import threading
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.frames import check_channels, height_and_width, rows_and_cols
from foveal.sampler.kernels.plain import shrink
from foveal.sampler.saliency._log_shares import check_floor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ModelSaliency(nn.Module):
    """Calls a model with images normalised as in its training; a hook stores a value of one of its layers.

    A model without parameters that require gradients stays in ``eval()``, whatever :meth:`train` is called with.

    Args:
        model: From (batch, 3, height, width), normalised, to anything.
        map_size: (rows, cols) of the map, or one number for both.
        lowres_size: (height, width) in pixels of the model's input.
        mean: For each channel, subtracted from images in [0, 1].
        std: For each channel, the divisor that is applied afterwards.
        floor: As :func:`log_shares` takes it.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        map_size: int | tuple[int, int],
        *,
        lowres_size: int | tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        floor: float,
    ) -> None:
        super().__init__()
        check_floor(floor)
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(
                f"mean and std must be of three channels, std positive, got {tuple(mean)!r} and {tuple(std)!r}."
            )
        self.model = model
        self.map_size = rows_and_cols(map_size)
        self.lowres_size = height_and_width(lowres_size, "lowres_size")
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.floor = float(floor)
        # One value for each thread, because a loader calls a frozen zoom in several threads at once.
        self._seen: dict[int, Tensor] = {}

    def train(self, mode: bool = True) -> "ModelSaliency":
        """Set the training mode, but not that of a frozen model."""
        super().train(mode)
        self._keep_frozen()
        return self

    def _keep_frozen(self) -> None:
        if not any(each.requires_grad for each in self.model.parameters()):
            self.model.eval()

    def look(
        self, small: Float[Tensor, "batch 3 _height _width"], layer: str
    ) -> tuple[object, Float[Tensor, "batch ..."]]:
        """Return the model's output for images in [0, 1], and the stored value of its layer.

        Raises:
            ValueError: The model did not call the layer, or called it with more or fewer images.
        """
        self._seen.pop(threading.get_ident(), None)
        output = self.model(self._shown(small))
        seen = self._seen.pop(threading.get_ident(), None)
        if seen is None or len(seen) != len(small):
            called = "not at all" if seen is None else f"with {len(seen)}"
            raise ValueError(
                f"layer must be one that the model calls with {len(small)} images as they are, got {layer!r}, called {called}."
            )
        return output, seen

    def look_at_nothing(self, layer: str) -> Float[Tensor, "1 ..."]:
        """Return the layer's stored value for an empty image, to find its shape."""
        modes = [(each, each.training) for each in self.modules()]
        first = next(self.model.parameters(), torch.empty(0))
        with torch.no_grad():
            seen = self.eval().look(torch.zeros(1, 3, *self.lowres_size, device=first.device), layer)[1]
        for module, mode in modes:
            module.training = mode
        self._keep_frozen()
        return seen

    def keep(self, value: Tensor) -> None:
        """Store a value until the model returns; used by hooks."""
        self._seen[threading.get_ident()] = value

    def _shown(self, small: Float[Tensor, "batch 3 _height _width"]) -> Float[Tensor, "batch 3 height width"]:
        check_channels(small, 3, type(self).__name__)
        mean, std = (small.new_tensor(each)[:, None, None] for each in (self.mean, self.std))
        if small.shape[2:] != self.lowres_size:
            small = shrink(small, self.lowres_size)
        return (small - mean) / std

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return f"map_size={self.map_size!r}, lowres_size={self.lowres_size!r}, floor={self.floor!r}"


def layer_of(model: nn.Module, name: str) -> nn.Module:
    """Return a model's layer of this name.

    Raises:
        ValueError: There is none.
    """
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if name not in layers:
        raise ValueError(
            f"layer must be the name of a module of {type(model).__name__}, got {name!r} – print(model) shows them."
        )
    return layers[name]
