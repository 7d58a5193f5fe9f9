"""Makes each of a sampler's grid settings an attribute."""

from dataclasses import replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class GridSetting(Generic[T]):
    """An attribute that is read from ``self.grid_settings``. Setting it checks it together with the others."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, sampler: Any, owner: type | None = None) -> T:
        value: T = getattr(sampler.grid_settings, self._name)
        return value

    def __set__(self, sampler: Any, value: T) -> None:
        sampler.grid_settings = replace(sampler.grid_settings, **{self._name: value})
