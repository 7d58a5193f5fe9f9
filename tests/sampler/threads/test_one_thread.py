"""Limiting torch's threads for one calling thread."""

import threading

import pytest
import torch

from foveal.sampler.threads import use_one_torch_thread


@pytest.fixture
def three_threads():
    """Let torch use three threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_a_thread(work) -> list[int]:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.extend(work()))
    thread.start()
    thread.join()
    return seen


def test_only_the_calling_thread_is_limited(three_threads):
    """The calling thread runs torch with one thread, and other threads, also later ones, are unaffected."""

    def work():
        use_one_torch_thread()
        use_one_torch_thread()
        torch.ones(1000, 1000) @ torch.ones(1000, 1000)
        yield torch.get_num_threads()

    assert in_a_thread(work) == [1]
    assert torch.get_num_threads() == 3
    assert in_a_thread(lambda: [torch.get_num_threads()]) == [3]
