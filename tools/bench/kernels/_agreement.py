"""Two ways to compute the same must agree before they are timed."""

from torch import Tensor


def check_agreement(
    name: str, ours: Tensor, expected: Tensor, tolerance: float, *, relative: bool = False
) -> float:
    """Return by how much two tensors differ at most.

    Args:
        name: What they are, for the message.
        ours: What is timed.
        expected: The same, computed otherwise.
        tolerance: How much they may differ.
        relative: Whether the difference is taken relative to the largest expected value.

    Raises:
        ValueError: They differ by more, or one of them is not finite.
    """
    difference = float((ours - expected).detach().abs().max())
    if relative:
        difference /= float(expected.detach().abs().max())
    if not difference <= tolerance:
        raise ValueError(f"{name} must agree to {tolerance}, got a difference of {difference!r}.")
    return difference
