"""``foveal bench adaptive | grid | layer | quality | sample | topk``: parts of the zoom, and other published systems, on tensors."""
