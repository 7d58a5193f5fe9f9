"""A sampler's grid settings as attributes of their own."""

from dataclasses import replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class GridSetting(Generic[T]):
    """An attribute that is read from ``self.grid_settings`` and, when it is set, checked with the others there."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, sampler: Any, owner: type | None = None) -> T:
        value: T = getattr(sampler.grid_settings, self._name)
        return value

    def __set__(self, sampler: Any, value: T) -> None:
        sampler.grid_settings = replace(sampler.grid_settings, **{self._name: value})
