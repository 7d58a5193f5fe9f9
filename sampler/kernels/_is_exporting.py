"""Whether torch is recording a graph that leaves the process."""

import torch


def is_exporting() -> bool:
    """Whether a module is being exported; before torch 2.7, which cannot tell, it never is."""
    found = getattr(torch.compiler, "is_exporting", None)
    return found is not None and bool(found())
