"""Weights of which each rank has a part."""

from torch import Tensor


def is_shard(weight: Tensor) -> bool:
    """Return whether a tensor is a ``DTensor``, as FSDP2's; naming that class would load torch.distributed's, which takes long."""
    return hasattr(weight, "device_mesh")
