"""Whether tests draw the same random numbers in every run."""

import os

import torch


def test_each_test_starts_at_the_same_seed():
    """``make test`` draws the same weights in every run, ``make test-all`` draws new ones."""
    first = torch.rand(8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.rand(8), first) is (os.environ.get("FOVEAL_NEW_EXAMPLES") != "1")
