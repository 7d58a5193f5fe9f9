"""Operators of torch, without what ``torch.library.custom_op`` loads on the first call: all of torch's compiler, a second.

It does so to keep the compiler from looking into an implementation. Where nobody has loaded it, nobody looks.
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
    """Make a function the implementation, on every device, of a new operator of this name, which takes its place.

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
