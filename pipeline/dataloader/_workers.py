"""The dataset of a loader inside the worker processes of a ``DataLoader``."""

from torch.utils.data import get_worker_info


def refuse_workers() -> None:
    """Raise an error in a worker process: its batches come from outside, and the epoch advances only in the loader's own process.

    Raises:
        ValueError: This process is a worker of a ``DataLoader``.
    """
    info = get_worker_info()
    if info is not None:
        raise ValueError(
            f"num_workers of a DataLoader around the dataset of a ZoomLoader must be 0, got {info.num_workers!r} – the loader "
            "decodes in threads of its own, num_threads of them."
        )
