"""How many images travel together at full resolution."""

from torch import nn

# Images that are decoded, zoomed and released together. Fewer leave DALI's threads idle at the end of each
# micro-batch, more cost memory.
MICRO_BATCH = 8

# Micro-batches that are being decoded while one is zoomed: small images finish faster than a large one among them.
AHEAD = 3


def micro_batch_size(zoom: nn.Module, batch_size: int) -> int:
    """Return how many images a micro-batch has at most."""
    return batch_size if needs_whole_batch(zoom) else MICRO_BATCH


def needs_whole_batch(zoom: nn.Module) -> bool:
    """Say whether a zoom takes statistics over the batch, as batch norm does in training."""
    norms = (m for m in zoom.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))  # noqa: SLF001
    return any(norm.training for norm in norms)
