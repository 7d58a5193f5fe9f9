"""How many images travel together at full resolution."""

from torch import nn

# Images that are decoded, zoomed and released together. Fewer leave DALI's threads idle at the end of each
# micro-batch, more cost memory.
MICRO_BATCH = 8


def micro_batch_size(zoom: nn.Module, batch_size: int) -> int:
    """Return it for a zoom: statistics over the batch, as batch norm takes them in training, need the batch whole."""
    norms = (m for m in zoom.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))  # noqa: SLF001
    return batch_size if any(norm.training for norm in norms) else MICRO_BATCH
