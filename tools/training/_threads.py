"""How torch's threads and the loader's share the processors of a training without a GPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def room_for_the_loader(device: torch.device) -> Iterator[None]:
    """Give torch half of its threads on the CPU, unless OMP_NUM_THREADS says how many it shall have.

    The others' processors decode. The threads of oneDNN's convolutions wait for each other in loops, whatever
    OMP_WAIT_POLICY says: beside threads that decode, on two processors, two of them took twice the processor time of one.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)
