"""Divides the processors between torch's threads and the loader's in a training without a GPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def room_for_the_loader(device: torch.device) -> Iterator[None]:
    """Give torch half as many threads on the CPU, unless OMP_NUM_THREADS is set.

    The other processors are for decoding. The threads of oneDNN's convolutions wait for each other in busy loops,
    whatever OMP_WAIT_POLICY says: on two processors, beside threads that decode, two of them took twice the processor
    time of one.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)
