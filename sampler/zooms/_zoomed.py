"""The result of every sampler."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree

from foveal.sampler.kernels import is_exporting


class Zoomed(NamedTuple):
    """A zoomed batch with its grid and saliency; unpacks as ``images, grid, saliency``."""

    images: Float[Tensor, "batch *patches channel height width"]
    """The sampled pixels: in [0, 1] if the source was uint8, else in the source's own scale; normalised if the sampler does so."""

    grid: Float[Tensor, "batch *patches height width 2"]
    """Where each output pixel looked: (x, y) in [-1, 1] of the source, ``align_corners=False``."""

    saliency: Float[Tensor, "batch 1 rows cols"]
    """The saliency from which the grid or the patches were computed: non-negative, each map sums to one."""

    def __repr__(self) -> str:
        """Show shapes instead of pixels."""
        shapes = ", ".join(f"{name}={tuple(value.shape)}" for name, value in self._asdict().items())
        return f"Zoomed({shapes})"


class _Exported(Zoomed):
    """A `Zoomed` while a module is exported: a saved program returns it as a plain tuple, which any process can load."""

    _make = None  # type: ignore[assignment]  # torch would take it for a named tuple, whose class the file would need


def zoomed(
    images: Float[Tensor, "batch *patches channel height width"],
    grid: Float[Tensor, "batch *patches height width 2"],
    saliency: Float[Tensor, "batch 1 rows cols"],
) -> Zoomed:
    """Make what a sampler returns."""
    kind = _Exported if is_exporting() else Zoomed
    return kind(images, grid, saliency)


# torch.export.save writes a `Zoomed` among your module's inputs under this name, and torch.export.load finds it again.
_pytree._register_namedtuple(Zoomed, serialized_type_name="foveal.sampler.Zoomed")  # noqa: SLF001 - torch has no other
# A result is written as the tuple that every process knows.
_pytree._private_register_pytree_node(  # noqa: SLF001
    _Exported,
    lambda values: (list(values), None),
    lambda values, _: Zoomed(*values),
    serialized_type_name="builtins.tuple",
    flatten_with_keys_fn=lambda values: (
        [(_pytree.GetAttrKey(name), value) for name, value in zip(Zoomed._fields, values, strict=True)],
        None,
    ),
)
_pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE["builtins.tuple"] = tuple  # to read, the name stays torch's
