"""Measures which part of an image a network's output depends on."""

import torch


def seen_by(net, size, row, col, batch=64):
    """Return the part of the image that a cell depends on, by the support of its gradient: (first, end) for each axis."""
    image = torch.randn(batch, 3, *size, requires_grad=True)
    net(image)[:, 0, row, col].sum().backward()
    rows, cols = (image.grad.abs().sum(dim).nonzero()[:, 0] for dim in ((0, 1, 3), (0, 1, 2)))
    return [(int(axis.min()), int(axis.max()) + 1) for axis in (rows, cols)]
