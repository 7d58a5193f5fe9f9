"""A box, and what a field reads from members."""

import torch

BOX = [[1, 2, 3.5, 8]]


def read(field, **members):
    """Return the numbers of a label as a tensor."""
    label = field.read(
        {name.replace("_", "."): content for name, content in members.items()}, max_pixels=1000
    )
    return label if isinstance(label, torch.Tensor) else label[0]
