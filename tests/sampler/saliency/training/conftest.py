"""Images for the tests of a trial."""

import pytest
import torch


@pytest.fixture
def images() -> torch.Tensor:
    """Return noise images."""
    return torch.rand(64, 3, 40, 40, generator=torch.Generator().manual_seed(0))
