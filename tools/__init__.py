"""The command line, and :func:`train`, which does what ``foveal train`` does for a network of your own."""

import typing

from foveal.tools._main import main

if typing.TYPE_CHECKING:
    from foveal.tools.training.options import TrainOptions
    from foveal.tools.training.train import train

__all__ = ["TrainOptions", "main", "train"]


def __getattr__(name: str) -> typing.Any:
    """Import what needs torch only when it is asked for, so that the command line starts at once."""
    if name == "train":
        from foveal.tools.training.train import train  # noqa: PLC0415 - see above

        return train
    if name == "TrainOptions":
        from foveal.tools.training.options import TrainOptions  # noqa: PLC0415 - see above

        return TrainOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
