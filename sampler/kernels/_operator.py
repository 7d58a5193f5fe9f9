"""Defines torch operators without ``torch.library.custom_op``, whose first call loads torch's compiler, which takes a second.

It loads the compiler in order to keep it from tracing implementations, which is only needed if it is loaded.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch

# Image addresses change on every call, so CUDA graphs cannot capture this. (torch before 2.8 has no tag for it.)
_TAGS = [
    torch.Tag.pt2_compliant_tag,
    *(tag for name, tag in vars(torch.Tag).items() if name == "cudagraph_unsafe"),
]


def operator(name: str, schema: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a function the implementation of a new operator, on every device, and return the operator in its place.

    ``torch.library.register_fake`` and ``register_autograd`` take the same name.
    """

    def register(implementation: Callable[..., Any]) -> Any:
        torch.library.define(name, schema, tags=_TAGS)
        torch.library.impl(name, "default")(_unseen(implementation))
        namespace, short = name.split("::")
        return getattr(getattr(torch.ops, namespace), short).default

    return register


def _unseen(implementation: Callable[..., Any]) -> Callable[..., Any]:
    hidden: list[Callable[..., Any]] = []

    def call(*arguments: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return implementation(*arguments)
        if not hidden:
            hidden.append(torch.compiler.disable(implementation))  # type: ignore[no-untyped-call]
        return hidden[0](*arguments)

    return call
