"""The check before two ways are timed."""

import math

import pytest
import torch

from foveal.tools.bench.kernels._agreement import check_agreement


def test_the_largest_difference_counts():
    """It is absolute, or relative to the largest expected value; as much as is allowed is allowed."""
    ours, expected = torch.tensor([1.0, -8.0, 3.0]), torch.tensor([1.0, -8.5, 3.25])

    assert check_agreement("numbers", ours, expected, 0.5) == 0.5
    assert check_agreement("numbers", ours, expected, 0.1, relative=True) == pytest.approx(0.5 / 8.5)
    with pytest.raises(ValueError, match=r"^numbers must agree to 0\.4, got a difference of 0\.5\.$"):
        check_agreement("numbers", ours, expected, 0.4)
    with pytest.raises(ValueError, match=r"^numbers must agree to 0\.05, got a difference of 0\.058"):
        check_agreement("numbers", ours, expected, 0.05, relative=True)


@pytest.mark.parametrize("place", ["ours", "expected"])
@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_what_is_not_finite_does_not_agree(place, strange):
    """Not even with itself."""
    tensors = {"ours": torch.ones(3), "expected": torch.ones(3), place: torch.tensor([1.0, strange, 1.0])}
    with pytest.raises(ValueError, match=r"^numbers must agree to 1\.0, got a difference of "):
        check_agreement("numbers", **tensors, tolerance=1.0)
    with pytest.raises(ValueError, match=r"^numbers must agree"):
        check_agreement("numbers", tensors[place], tensors[place], 1.0, relative=True)
