"""A hook on a zoom that is tried or taught, and not on its copies."""

from collections.abc import Callable
from typing import Any


class TrainingHook:
    """A hook that acts in training alone, and does nothing in a copy of its module.

    Copies, such as those that average the weights over steps or go to another process, would otherwise have a trial and a teacher of their own,
    which nobody observes.

    Args:
        act: What torch is to call; None for a hook that does nothing.
    """

    def __init__(self, act: Callable[..., Any] | None) -> None:
        self.act = act

    def __call__(self, *given: Any) -> Any:
        """Do what the hook is for."""
        return None if self.act is None else self.act(*given)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as a hook that does nothing."""
        return TrainingHook, (None,)
