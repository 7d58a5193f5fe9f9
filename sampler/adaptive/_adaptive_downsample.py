"""Content-adaptive downsampling: the last stages of a network, fine where a mask says so and coarse elsewhere."""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.func import functional_call

from foveal.sampler.adaptive._node_layers import Nodes, on_nodes
from foveal.sampler.adaptive._node_list import node_lists
from foveal.sampler.frames import is_transformed


class AdaptiveDownsample(nn.Module):
    """Runs the last stages of a network at the resolution that a mask gives for each place (Hesse et al., CVPRW 2023).

    The stages are those of an ordinary network with its strides, such as ``layer3`` and ``layer4`` of a ResNet, and keep
    their weights. Where the mask is 0, a stride keeps all cells, and later taps reach twice as far, as if the stride had
    been replaced by dilation; where it is m, the first m strides are taken. So a mask of zeros gives the network at the
    fine resolution, the largest possible mask gives the unchanged network, and the cost in between is proportional to the
    cells that are kept. Neighbouring blocks read each other's nodes. The results are the same for a sample alone and in a
    batch; batch norm in training takes its statistics over the existing nodes.

    Gradients reach the weights and the fine features. A mask that requires gradients, such as that of
    :class:`LearnedMask`, gets the difference that the last stride makes between the two dense networks, ``d out / d mask
    = coarse - fine``, as in the paper; but unlike there, the output in training is the same as at inference. The two
    dense networks are run for this without gradients, which costs about two dense forward passes more.

    Args:
        stages: Modules that :func:`on_nodes` supports, run one after the other, with at least one stride in total.

    Raises:
        ValueError: No stage has a stride.

    Example:
        >>> net = DilatedResNet(18, output_stride=16)
        >>> adaptive = AdaptiveDownsample(net.layer3, net.layer4)  # 16 where the mask is 1, 8 where it is 0
        >>> fine = net.fine(torch.zeros(1, 3, 64, 96))
        >>> adaptive(fine, torch.ones(1, 1, 8, 12)).shape
        torch.Size([1, 512, 8, 12])
    """

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.levels = strides_of(self.stages)
        if self.levels == 0:
            raise ValueError(
                "stages must have a stride to adapt, got none – give the strided network, not the dilated one."
            )

    def forward(
        self,
        fine: Float[Tensor, "batch _in rows cols"],
        mask: Num[Tensor, "batch 1 rows cols"],
    ) -> Float[Tensor, "batch channel rows cols"]:
        """Return the stages' features at the fine resolution; the cells of a block that was halved have one value.

        Args:
            fine: The input of the first stage.
            mask: Number of strides to take at each place: whole numbers from 0 to ``levels``, m on whole blocks of 2^m by
                2^m.

        Raises:
            ValueError: The mask has another shape or other values.
        """
        features = self.nodes(fine, mask).dense()
        if (mask.requires_grad and torch.is_grad_enabled()) or (
            mask.is_floating_point() and is_transformed(mask)
        ):
            features = features + (mask - mask.detach()) * self._slope(fine.detach())
        return features

    def nodes(
        self, fine: Float[Tensor, "batch _in rows cols"], mask: Num[Tensor, "batch 1 rows cols"]
    ) -> Nodes:
        """Return the stages' features on the existing nodes, for heads that work on nodes, too."""
        self._check(fine, mask)
        lists = node_lists(mask)
        # Before the first stride all cells are kept, in raster order.
        cells = fine.permute(0, 2, 3, 1).flatten(0, 2)
        return on_nodes(self.stages, Nodes(cells, lists, 0))

    def _check(self, fine: Tensor, mask: Tensor) -> None:
        expected = (fine.shape[0], 1, *fine.shape[2:])
        if tuple(mask.shape) != expected:
            raise ValueError(
                f"mask must be {expected}, one level for each cell of the features, got shape {tuple(mask.shape)!r}."
            )
        if mask.numel() and bool(mask.max() > self.levels):
            raise ValueError(
                f"mask must be at most {self.levels}, the strides there are, got {mask.max().item()!r}."
            )

    @torch.no_grad()
    def _slope(self, fine: Float[Tensor, "batch _in rows cols"]) -> Float[Tensor, "batch channel rows cols"]:
        """How the features change with the mask, from a mask of zeros to the largest; divided by the number of strides."""

        def dense(level: int) -> Tensor:
            # Running statistics stay unchanged.
            buffers = {name: value.clone() for name, value in self.named_buffers()}
            # Of whole numbers, which have no slope of their own.
            mask = fine.new_full((fine.shape[0], 1, *fine.shape[2:]), level, dtype=torch.int64)
            features: Tensor = functional_call(self, buffers, (fine, mask))
            return features

        return (dense(self.levels) - dense(0)) / self.levels


def strides_of(stages: nn.Module) -> int:
    """Number of strides on the main path; those of shortcuts are parallel to it."""
    convolutions = (
        module
        for name, module in stages.named_modules()
        if isinstance(module, nn.Conv2d) and "downsample" not in name
    )
    return sum(module.stride[0] > 1 for module in convolutions)
