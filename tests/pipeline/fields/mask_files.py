"""A small mask of three classes, and what a field reads from a member with a mask."""

import json

import numpy as np
import torch

WIDTH, HEIGHT = 50, 40
SIZE = HEIGHT, WIDTH
IDS = np.zeros(SIZE, np.uint8)
IDS[5:20, 10:30], IDS[15:35, 25:45], IDS[30:, :8] = 1, 2, 3
IDS_1 = np.zeros(SIZE, np.uint8)
IDS_1[5:20, 10:30] = 1


def js(value) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value).encode()


def seen(field, content, *, size=SIZE, max_pixels=None):
    """Return the class ids of a member, as the field delivers them for an image that is not zoomed."""
    member = field.extensions[0] if field.extensions else "x"
    label = field.read({} if content is None else {member: content}, max_pixels=max_pixels)
    assert field.misfit(label, size) is None
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, *size), align_corners=False)
    return field.warp([label], grid, [size])[0].numpy()
