"""Content-adaptive downsampling (Hesse et al. 2023)."""

from foveal.sampler.adaptive._adaptive_downsample import AdaptiveDownsample
from foveal.sampler.adaptive._adaptive_resnet import AdaptiveResNet
from foveal.sampler.adaptive._dilated_resnet import DilatedResNet
from foveal.sampler.adaptive._edge_mask import edge_mask
from foveal.sampler.adaptive._learned_mask import LearnedMask, budget_loss
from foveal.sampler.adaptive._node_layers import Nodes, on_nodes
from foveal.sampler.adaptive._node_list import NodeList, NodeLists, node_lists
from foveal.sampler.adaptive._saliency_mask import keypoint_mask, saliency_mask

__all__ = [
    "AdaptiveDownsample",
    "AdaptiveResNet",
    "DilatedResNet",
    "LearnedMask",
    "NodeList",
    "NodeLists",
    "Nodes",
    "budget_loss",
    "edge_mask",
    "keypoint_mask",
    "node_lists",
    "on_nodes",
    "saliency_mask",
]
