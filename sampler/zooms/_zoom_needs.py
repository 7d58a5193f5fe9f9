"""The interface between a zoom and the code that calls it."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel

# What torch.compile and checkpoint_wrapper call it; naming their classes would load the compiler and torch.distributed's algorithms.
_INSIDE = ("_orig_mod", "_checkpoint_wrapped_module")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomNeeds:
    """What a zoom needs from a loader, read once from the attributes of the module.

    A zoom is any ``nn.Module`` that is called as ``zoom(images, lowres)`` and returns a :class:`Zoomed`. ``images`` are
    (height, width, 3) uint8 tensors of any sizes; ``lowres`` is the result of :func:`lowres` for them, or None.
    Attributes of the module say what else it needs; a missing attribute means None. A caller must either provide all of
    this or refuse the zoom.

    Attributes:
        name: The module's class, for messages.
        lowres_size: Height and width in pixels of the copy to be passed as ``lowres``; None for a zoom that needs none,
            or whose attribute ``takes_lowres`` is False because it makes its own.
        source_px: Height and width in pixels beyond which a larger source (or view of it) shows no more, so that a
            decoder may decode a smaller image. None if there is no such size.
        takes_views: Whether ``forward`` takes ``views``, (batch, 2, 3) as :func:`compose` takes them. If an attribute
            ``takes_views`` is False, it does not, even if it has the parameter.
        takes_deep: Whether images may also be uint16, as they are with a loader's ``bits=16``. If there is no attribute
            ``takes_deep``, the zoom is called twice for them, for the upper and for the lower bytes, and must return the same grid.
        boxes_from: The field of a sample that is to be passed as ``boxes``, such as ``"json:boxes"``: for each image (n, 4),
            (x0, y0, x1, y1) as fractions of the upright original. None for no boxes.
        maps_from: The field of a sample that is to be passed as ``maps``, such as ``"attention.npy"``: for each image (rows,
            cols), non-negative cells that tile the upright original. None for no maps.
        condition: The fields of a sample that are to be passed as ``condition``: a tuple of their values in a batch.

    Example:
        >>> ZoomNeeds.of(SaliencySampler(224)).source_px
        (2240, 2240)
    """

    name: str
    lowres_size: tuple[int, int] | None
    source_px: tuple[int, int] | None
    takes_views: bool
    boxes_from: str | None
    takes_deep: bool = False
    maps_from: str | None = None
    condition: tuple[str, ...] = ()

    @classmethod
    def of(cls, zoom: Any) -> "ZoomNeeds":
        """Return what a zoom needs, also if it is wrapped by DistributedDataParallel, ``torch.compile`` or AveragedModel.

        Raises:
            TypeError: It is not a module.
            ValueError: ``lowres_size`` or ``source_px`` is not a height and width.
        """
        if not isinstance(zoom, nn.Module):
            raise TypeError(
                f"zoom must be a sampler module, got {zoom!r} – for example SaliencySampler(224)."
            )
        module = unwrapped(zoom)
        return cls(
            name=type(module).__name__,
            lowres_size=_size_of(module, "lowres_size") if getattr(module, "takes_lowres", True) else None,
            source_px=_size_of(module, "source_px"),
            takes_views=_takes(module, "views") and bool(getattr(module, "takes_views", True)),
            boxes_from=getattr(module, "boxes_from", None),
            takes_deep=bool(getattr(module, "takes_deep", False)),
            maps_from=getattr(module, "maps_from", None),
            condition=tuple(getattr(module, "condition", ())),
        )


def unwrapped(zoom: nn.Module) -> nn.Module:
    """Return the module inside wrappers, which take any argument and do not have the module's attributes."""
    name = name_inside(zoom)
    return zoom if name is None else unwrapped(zoom.get_submodule(name))


def name_inside(wrapper: nn.Module) -> str | None:
    """Return the name that a wrapper gives to the module inside; None if it is no wrapper."""
    if isinstance(wrapper, nn.parallel.DistributedDataParallel | nn.DataParallel | AveragedModel):
        return "module"
    children = [name for name, _ in wrapper.named_children()]
    return next((name for name in _INSIDE if name in children), None)


def _size_of(zoom: nn.Module, name: str) -> tuple[int, int] | None:
    size = getattr(zoom, name, None)
    if size is None:
        return None
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError):
        raise ValueError(
            f"zoom.{name} must be (height, width) in pixels or None, got {size!r} for {type(zoom).__name__}."
        ) from None
    return height, width


def _takes(zoom: nn.Module, name: str) -> bool:
    parameters = inspect.signature(zoom.forward).parameters.values()
    return any(each.name == name or each.kind is each.VAR_KEYWORD for each in parameters)
