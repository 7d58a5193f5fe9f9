"""The command line: ``foveal --help``; and :func:`train`, what ``foveal train`` does, for trunks of one's own."""

import typing

from foveal.tools._cli import main

if typing.TYPE_CHECKING:
    from foveal.tools.training.options import TrainOptions
    from foveal.tools.training.train import train

__all__ = ["TrainOptions", "main", "train"]


def __getattr__(name: str) -> typing.Any:
    """Load what needs torch only for those who ask for it: the command line answers at once."""
    if name == "train":
        from foveal.tools.training.train import train  # noqa: PLC0415 - see above

        return train
    if name == "TrainOptions":
        from foveal.tools.training.options import TrainOptions  # noqa: PLC0415 - see above

        return TrainOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
