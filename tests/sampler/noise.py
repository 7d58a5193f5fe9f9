"""A noisy picture."""

import torch


def noise(height, width, seed=0):
    return torch.randint(
        0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
