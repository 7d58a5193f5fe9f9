"""Where to look and what to bring back: saliency, grids and sampling; tensors in, tensors out.

* :class:`SaliencySampler` zooms each image to what its saliency says matters; :class:`UniformSampler` does not
* :class:`SaliencyNet`, :class:`ResNet18Saliency`, :class:`SpectralSaliency` -- what matters: learned small, learned as
  published, and without any training. Each returns *logits* over a lattice; the sampler's softmax makes a map of them
* :class:`BoxSaliency`, :class:`FixedSaliency` -- what is known beforehand: boxes of each image, one map for a data set
* :func:`lowres`, :func:`zoom_grid`, :func:`sample` -- the steps, usable alone; :func:`compose` puts flips, crops and
  turns between them
* :class:`AdaptiveDownsample`, :class:`AdaptiveResNet` -- a network that is fine where a mask says so and coarse elsewhere;
  :func:`edge_mask`, :func:`saliency_mask`, :func:`keypoint_mask`, :class:`LearnedMask` make masks
* :class:`MixedResolution` -- tokens for a ViT: all of an image coarsely, its most salient cells finely, too
* :func:`warp_points`, :func:`warp_boxes`, :func:`warp_masks` -- labels into the zoomed image, and ``unwarp_...`` back;
  :func:`unzoom` brings feature maps back, :func:`invert_grid` says where from

Images are one (batch, channel, height, width) tensor, or (height, width, 3) uint8 tensors of different sizes. Grids are
(x, y) in [-1, 1] of the source with ``align_corners=False``; points beyond the border read the border.
"""

from foveal.sampler._adaptive_downsample import AdaptiveDownsample
from foveal.sampler._adaptive_resnet import AdaptiveResNet
from foveal.sampler._box_saliency import BoxSaliency
from foveal.sampler._dilated_resnet import DilatedResNet
from foveal.sampler._edge_mask import edge_mask
from foveal.sampler._fixed_saliency import FixedSaliency
from foveal.sampler._grid import zoom_grid
from foveal.sampler._invert_grid import invert_grid, unzoom
from foveal.sampler._learned_mask import LearnedMask, budget_loss
from foveal.sampler._lowres import lowres
from foveal.sampler._mixed_resolution import MixedResolution
from foveal.sampler._node_layers import Nodes, on_nodes
from foveal.sampler._node_list import NodeList, NodeLists, node_lists
from foveal.sampler._resnet import ResNet18Saliency
from foveal.sampler._saliency_mask import keypoint_mask, saliency_mask
from foveal.sampler._saliency_net import SaliencyNet
from foveal.sampler._saliency_sampler import SaliencySampler
from foveal.sampler._sample import sample
from foveal.sampler._spectral import SpectralSaliency
from foveal.sampler._token_positions import token_positions
from foveal.sampler._uniform import UniformSampler
from foveal.sampler._views import compose
from foveal.sampler._warp_boxes import unwarp_boxes, warp_boxes
from foveal.sampler._warp_masks import unwarp_masks, warp_masks
from foveal.sampler._warp_points import unwarp_points, warp_points
from foveal.sampler._zoomed import Zoomed

__all__ = [
    "AdaptiveDownsample",
    "AdaptiveResNet",
    "BoxSaliency",
    "DilatedResNet",
    "FixedSaliency",
    "LearnedMask",
    "MixedResolution",
    "NodeList",
    "NodeLists",
    "Nodes",
    "ResNet18Saliency",
    "SaliencyNet",
    "SaliencySampler",
    "SpectralSaliency",
    "UniformSampler",
    "Zoomed",
    "budget_loss",
    "compose",
    "edge_mask",
    "invert_grid",
    "keypoint_mask",
    "lowres",
    "node_lists",
    "on_nodes",
    "saliency_mask",
    "sample",
    "token_positions",
    "unwarp_boxes",
    "unwarp_masks",
    "unwarp_points",
    "unzoom",
    "warp_boxes",
    "warp_masks",
    "warp_points",
    "zoom_grid",
]
