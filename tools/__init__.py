"""The command line: ``foveal --help``; and :func:`train`, what ``foveal train`` does, for trunks of one's own."""

from typing import TYPE_CHECKING, Any

from foveal.tools._cli import main

if TYPE_CHECKING:
    from foveal.tools._train import train
    from foveal.tools._train_options import TrainOptions

__all__ = ["TrainOptions", "main", "train"]


def __getattr__(name: str) -> Any:
    """Load what needs torch only for those who ask for it: the command line answers at once."""
    if name == "train":
        from foveal.tools._train import train  # noqa: PLC0415 - see above

        return train
    if name == "TrainOptions":
        from foveal.tools._train_options import TrainOptions  # noqa: PLC0415 - see above

        return TrainOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
