"""Layers on node lists: convolutions, norms and strides of an ordinary network, computed on the nodes that a mask keeps.

Features are (nodes, channels), in the order of a :class:`NodeList`. A convolution gathers the inputs of its taps and is
then a matrix product; operations on single places (batch norm, ReLU) get each node as an image of one pixel. A
convolution with a stride is only computed at the nodes that it keeps.

The spacing of the taps keeps a network's weights valid: the taps of a convolution after k strides are 2^k cells apart
(times its dilation), wherever the node is. Where a mask keeps all cells, this is the network with its strides replaced by
dilation; where it halves as often as possible, the unchanged network.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from foveal.sampler.adaptive._node_list import NodeLists
from foveal.sampler.frames import is_transformed

# Nodes are passed to torch's convolution in lines of this length, which is fastest on CPUs: twice as fast as one long line.
_LINE = 64
# Number of lines that are gathered at a time, so that their copies stay in the processor's cache.
_LINES = 16

_POINTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Identity)


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Features on the nodes of a mask.

    Attributes:
        features: One row for each node.
        lists: The lists of the mask.
        strides: Number of strides of the network so far.
    """

    features: Float[Tensor, "nodes channel"]
    lists: NodeLists
    strides: int

    def dense(self) -> Float[Tensor, "batch channel rows cols"]:
        """Return a map on the finest lattice: each cell has the features of its node."""
        lookup = self.lists.after(self.strides).lookup
        return self.features[lookup.flatten()].view(*lookup.shape, self.features.shape[1]).permute(0, 3, 1, 2)


def on_nodes(module: nn.Module, nodes: Nodes) -> Nodes:
    """Run a module of an ordinary network on nodes.

    It may be a convolution (square kernel of an odd side, padded to keep the size, stride 1 or 2), a batch norm, whose
    statistics are then those of the nodes, a pointwise activation, a residual block like torchvision's ResNet's, or a
    Sequential of these. Its own weights are used, not copies.

    Raises:
        TypeError: Another kind of module, or a residual block with further parts, such as an attention or another activation.
        ValueError: A convolution of another kind.
    """
    if isinstance(module, nn.Sequential):
        for child in module:
            nodes = on_nodes(child, nodes)
        return nodes
    if isinstance(module, nn.Conv2d):
        return _conv(module, nodes)
    if isinstance(module, (nn.modules.batchnorm._BatchNorm, *_POINTWISE)):  # noqa: SLF001 - what all batch norms share
        return _pointwise(module, nodes)
    if all(hasattr(module, name) for name in ("conv1", "bn1", "conv2", "bn2", "downsample")):
        return _residual(module, nodes)
    raise TypeError(
        f"module must be a convolution, a batch norm, an activation or a residual block, got {type(module).__name__} – "
        "other layers do not know of nodes."
    )


def _residual(block: nn.Module, nodes: Nodes) -> Nodes:
    """Run two or three convolutions and a shortcut, by torchvision's names."""
    names = [name for name in ("1", "2", "3") if hasattr(block, f"conv{name}")]
    _check_parts(block, {"downsample", *(kind + name for name in names for kind in ("conv", "bn"))})
    inner = nodes
    for name in names:
        inner = _pointwise(getattr(block, f"bn{name}"), _conv(getattr(block, f"conv{name}"), inner))
        if name != names[-1]:
            inner = replace(inner, features=inner.features.relu())
    shortcut = nodes if block.downsample is None else on_nodes(block.downsample, nodes)  # type: ignore[arg-type]
    return replace(inner, features=(inner.features + shortcut.features).relu())


def _check_parts(block: nn.Module, known: set[str]) -> None:
    """Raise for a part of a block that would be passed over: only ReLU, which is run in any case, and what does nothing may be."""
    for name, part in block.named_children():
        if name not in known and not isinstance(part, (nn.ReLU, nn.Identity)):
            raise TypeError(
                f"module must be a residual block of convolutions, batch norms and ReLU alone, got {type(block).__name__} with "
                f"{name}={type(part).__name__} – its results would be those without {name}."
            )


def _pointwise(module: nn.Module, nodes: Nodes) -> Nodes:
    # Each node is an image of one pixel. As one image with a line of nodes, torch 2.13 on the CPU computes a transposed
    # gradient of batch norm.
    pixels = nodes.features[:, :, None, None]
    return replace(nodes, features=module(pixels)[:, :, 0, 0])


def _conv(module: nn.Conv2d, nodes: Nodes) -> Nodes:
    _check_conv(module)
    strides = nodes.strides + module.stride[0] - 1  # a stride of 2 adds one level, a stride of 1 none
    if module.kernel_size == (1, 1) and strides == nodes.strides:
        rows = pad(nodes.features, (0, 0, 0, -len(nodes.features) % _LINE))
        made = _conv_lines(_as_lines(rows, 1), module)
    else:
        size, spacing = module.kernel_size[0], module.dilation[0] * 2**nodes.strides
        taps = nodes.lists.taps(nodes.strides, strides, size, spacing)
        made = _conv_gathered(nodes.features, taps, module)
    return Nodes(made[: len(nodes.lists.after(strides))], nodes.lists, strides)


def _conv_gathered(
    features: Float[Tensor, "_nodes _in"], taps: Int[Tensor, "_others taps"], module: nn.Conv2d
) -> Float[Tensor, "rows channel"]:
    """Convolve the inputs of the taps, a part of the nodes at a time, so that gathered values stay in the processor's cache."""
    whole = pad(taps, (0, 0, 0, -len(taps) % _LINE), value=len(features))
    known = pad(features, (0, 0, 0, 1))  # zeros beyond the edge
    parts = [_conv_part(known, part, module) for part in torch.split(whole, _LINE * _LINES)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _conv_part(
    known: Float[Tensor, "_known _in"], taps: Int[Tensor, "rows taps"], module: nn.Conv2d
) -> Float[Tensor, "rows channel"]:
    """Convolve the inputs of these nodes. Backward gathers them again instead of keeping many copies of all features."""
    count = taps.shape[1]
    # Line by line, and within a line tap by tap.
    index = taps.view(-1, _LINE, count).transpose(1, 2).flatten()
    read, source = _as_lines(known[index], count), known.detach()
    if is_transformed():  # whose tensors have no address
        return _conv_lines(read, module)
    place = read.data_ptr()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda saved: None if saved.data_ptr() == place else saved,
        lambda packed: _as_lines(source[index], count) if packed is None else packed,
    ):
        return _conv_lines(read, module)


def _as_lines(rows: Float[Tensor, "_rows channel"], taps: int) -> Float[Tensor, "lines channel taps length"]:
    """Return rows as images that are ``taps`` pixels high and a line of nodes wide."""
    return rows.view(-1, taps, _LINE, rows.shape[1]).permute(0, 3, 1, 2)


def _conv_lines(
    read: Float[Tensor, "lines _in taps length"], module: nn.Conv2d
) -> Float[Tensor, "rows channel"]:
    kernel = module.weight.flatten(2)[..., None]  # (out, in, taps, 1)
    made = conv2d(read, kernel, module.bias, groups=module.groups)[:, :, 0]
    return made.transpose(1, 2).reshape(-1, made.shape[1])


def _check_conv(module: nn.Conv2d) -> None:
    (size, width), (stride, other) = module.kernel_size, module.stride
    same = tuple(step * (side // 2) for step, side in zip(module.dilation, module.kernel_size, strict=True))
    fits = size == width and size % 2 == 1 and stride == other and stride in (1, 2)
    if not fits or module.padding != same or module.padding_mode != "zeros" or len(set(module.dilation)) > 1:
        raise ValueError(
            "convolution must have a square kernel of an odd side, stride 1 or 2, and as many zeros around as keep the "
            f"size, got {module!r} – only these can be computed on nodes."
        )
