"""Whether torch records what is computed."""

import torch


def is_recorded() -> bool:
    """Whether a graph is recorded by ``torch.compile``, ``torch.export`` or ``torch.jit.trace``, which see torch's operators only."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call,attr-defined]
