"""What others rely on."""

import importlib
import types

import pytest


@pytest.mark.parametrize("door", ["pipeline", "sampler", "shards", "tools"])
def test_all_names_exactly_what_is_public(door):
    """`__all__` is sorted, and everything public stands in it."""
    module = importlib.import_module(f"foveal.{door}")
    public = {
        n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)
    }

    assert module.__all__ == sorted(module.__all__)
    loaded_late = {n for n in module.__all__ if n not in vars(module) and getattr(module, n)}
    assert set(module.__all__) == public | loaded_late


@pytest.mark.parametrize("door", ["pipeline", "sampler", "shards", "tools"])
def test_everything_public_is_documented(door):
    """Every public name says what it is."""
    module = importlib.import_module(f"foveal.{door}")

    assert [name for name in module.__all__ if not (getattr(module, name).__doc__ or "").strip()] == []
