"""A loader inside the worker processes of a ``DataLoader``."""

from torch.utils.data import get_worker_info


def refuse_workers(*, more_than: int) -> None:
    """Raise an error in a worker process, unless it is one of few.

    Several workers would each deliver every sample. A single one may iterate over a loader, but must not take its batches
    from outside, where the loader's epoch does not advance.

    Args:
        more_than: The most workers that are allowed.

    Raises:
        ValueError: This process is one of more workers of a ``DataLoader``.
    """
    info = get_worker_info()
    if info is not None and info.num_workers > more_than:
        allowed = "0 or 1" if more_than else "0"
        raise ValueError(
            f"num_workers of a DataLoader around a ZoomLoader must be {allowed}, got {info.num_workers!r} – the loader decodes "
            "in threads of its own, num_threads of them."
        )
