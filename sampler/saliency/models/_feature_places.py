"""Computes the positions of a convolutional network's features in its image."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Size = tuple[int, ...]


class FeaturePlaces:
    """Follows a network while it processes one image: each layer that changes the resolution moves the centres of the features.

    The centre of the first window of a layer lies at ``first + step * (dilation * (kernel - 1) / 2 - padding)``, and
    the next at ``step * stride`` from there (Araujo et al., Distill 2019). Positions are recorded by resolution: branches
    that are added have the same resolution and the same centres.

    Args:
        size: (height, width) of the image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        # By resolution: the first centre and the step along each axis, in pixels.
        self._lie: dict[Size, tuple[tuple[float, ...], tuple[float, ...]]] = {size: ((0.5, 0.5), (1.0, 1.0))}

    @contextmanager
    def watching(self, model: nn.Module) -> Generator[None]:
        """Record the network's layers while it processes the image."""
        kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
        hooks = [
            module.register_forward_hook(self._moved)
            for module in model.modules()
            if isinstance(module, kinds)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def of(self, features: Tensor) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the first centre and the step along each axis, as shares of the image's sides; cells that tile it if unknown."""
        rows, cols = features.shape[2:]
        (height, width), tiled = self._size, ((0.5 / rows, 0.5 / cols), (1 / rows, 1 / cols))
        if (rows, cols) not in self._lie:
            return tiled
        first, step = self._lie[rows, cols]
        return (first[0] / height, first[1] / width), (step[0] / height, step[1] / width)

    def _moved(self, layer: Any, args: tuple[Tensor, ...], output: Tensor) -> None:
        before, after = tuple(args[0].shape[2:]), tuple(output.shape[2:])
        if before not in self._lie or after in self._lie:
            return
        first, step = self._lie[before]
        kernel, stride, dilation, padding = (_each(layer, name) for name in _NAMES)
        self._lie[after] = (
            tuple(
                first[k] + step[k] * (dilation[k] * (kernel[k] - 1) / 2 - _before(padding[k], layer, k))
                for k in (0, 1)
            ),
            tuple(step[k] * stride[k] for k in (0, 1)),
        )


_NAMES = ("kernel_size", "stride", "dilation", "padding")


def _each(layer: Any, name: str) -> tuple[Any, Any]:
    """Return a layer's setting for both axes."""
    value = getattr(layer, name, 1)  # an average has no dilation
    return value if isinstance(value, tuple) else (value, value)


def _before(padding: int | str, layer: Any, axis: int) -> float:
    """Return the number of padding pixels before the first."""
    if padding == "same":
        return float(_each(layer, "dilation")[axis] * (_each(layer, "kernel_size")[axis] - 1) // 2)
    return 0.0 if padding == "valid" else float(padding)
