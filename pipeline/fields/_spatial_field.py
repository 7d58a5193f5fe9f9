"""Fields with coordinates in the image, which are warped with it: what boxes, points and masks have in common.

Each field implements both directions: ``read`` takes a label out of a sample's members, in the frame of the upright
original; ``misfit`` says if it cannot belong to its image; ``warp`` takes the labels of a micro-batch into the zoomed
images, and ``join`` those of micro-batches into a batch; ``of_sample`` picks one sample out of a batch, and ``write`` puts
its label back into the members that it came from.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from foveal.pipeline.fields._members import MemberError
from foveal.pipeline.fields.formats import LabelReader, member_path, name_of

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class SpatialField(ABC):
    """A field of the loader whose values are warped with the image."""

    __slots__ = ()
    source: str | LabelReader

    def _settle(self, name: str, usual: str | None, choices: Sequence[str]) -> None:
        """Set a setting that was left out, which is None, to the usual one; raise ValueError for one that there is not."""
        value = getattr(self, name)
        if value not in (None, *choices):
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
        object.__setattr__(self, name, value or usual)

    @property
    def name(self) -> str:
        """Its name in messages."""
        return name_of(self.source)

    @property
    def expression(self) -> str:
        """The expression that makes it. A function has no address in it, so that all processes write the same in quarantine files."""
        return _ADDRESS.sub("", repr(self))

    @property
    def extensions(self) -> tuple[str, ...] | None:
        """Member extensions that may hold it, of which the first that exists counts; None if it may need all members."""
        return member_path(self.source).extensions if isinstance(self.source, str) else None

    @abstractmethod
    def read(self, members: Mapping[str, bytes], *, max_pixels: int | None) -> Any:
        """Return a sample's label, in the frame of its upright original.

        Raises:
            MemberError: It is missing or invalid.
        """

    @abstractmethod
    def is_absent(self, members: Mapping[str, bytes]) -> bool:
        """Return whether a sample has no entry for such a label, not even an empty one."""

    @abstractmethod
    def misfit(self, label: Any, size: tuple[int, int]) -> str | None:
        """Return why a label cannot belong to an image of this (height, width) in pixels; None if it can."""

    @abstractmethod
    def warp(
        self,
        labels: Sequence[Any],
        grid: Tensor,
        sizes: Sequence[tuple[int, int]],
        *,
        views: Tensor | None = None,
    ) -> Any:
        """Return the labels of a micro-batch in pixels of the zoomed images, on the grid's device."""

    def join(self, parts: Sequence[Any]) -> Any:
        """Join the labels of the micro-batches of a batch, of which there is at least one; here tensors of equal shapes."""
        return torch.cat(list(parts))

    def of_sample(self, value: Any, index: int) -> Any:
        """Return one sample's label from those of a batch, on the CPU; here from one tensor."""
        return value[index].cpu()

    @abstractmethod
    def write(self, members: Mapping[str, bytes], label: Any, size: tuple[int, int]) -> dict[str, bytes]:
        """Return the members that change if a sample's label is written where ``read`` found it, in the same form.

        Args:
            members: The members of the sample.
            label: As ``of_sample`` returns it.
            size: (height, width) of the zoomed image in pixels.

        Raises:
            ValueError: The form cannot hold it.
        """

    @classmethod
    def write_all(
        cls, members: Mapping[str, bytes], labels: Mapping[Self, Any], size: tuple[int, int]
    ) -> dict[str, bytes]:
        """Return the members that change if the labels of several fields of this kind are written; here one after the other."""
        changed: dict[str, bytes] = {}
        for field, label in labels.items():
            changed |= field.write({**members, **changed}, label, size)
        return changed

    def kept(self, label: Any) -> list[int] | None:  # noqa: ARG002 - points and masks never leave
        """Return the numbers of the original's entries that a zoomed sample still has; None if all of them stay."""
        return None


Located = Mapping[SpatialField, Any]
"""The labels of one sample with coordinates in its image."""


def first_misfit(located: Located, size: tuple[int, int]) -> MemberError | None:
    """Return why one of a sample's labels cannot belong to its upright image; None if all can."""
    for field, label in located.items():
        reason = field.misfit(label, size)
        if reason is not None:
            return MemberError(reason, field=field.expression)
    return None


def warp_labels(
    fields: Sequence[SpatialField],
    samples: Sequence[Located],
    grid: Tensor,
    sizes: Sequence[tuple[int, int]],
    *,
    views: Tensor | None = None,
) -> dict[SpatialField, Any]:
    """Warp the labels of a micro-batch from its originals to its zoomed images.

    Args:
        fields: The fields to warp.
        samples: The labels of each sample.
        grid: (batch, height, width, 2), where each output pixel looked, in [-1, 1] of the upright original.
        sizes: (height, width) of each upright original in pixels.
        views: (batch, 2, 3), the views that the grid was composed with, if any.

    Raises:
        ValueError: The zoom returns several patches or something else than one image for each.
    """
    if fields and grid.ndim != 4:
        raise ValueError(
            f"fields must be without {type(fields[0]).__name__} for a zoom that returns several images a sample, got a grid of "
            f'shape {tuple(grid.shape)!r} – ask for "__grid__" and the plain member instead.'
        )
    with torch.no_grad():
        return {
            field: field.warp([sample[field] for sample in samples], grid, sizes, views=views)
            for field in fields
        }
