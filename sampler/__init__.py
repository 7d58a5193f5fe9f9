"""Where to look and what to bring back: saliency, grids and sampling; tensors in, tensors out.

* :class:`SaliencySampler` zooms each image to what its saliency says matters; :class:`UniformSampler` does not
* :class:`PatchSampler` brings back the K best patches instead, by :class:`ScoreNet` and :class:`PerturbedTopK`;
  :class:`PatchMean`, :class:`PatchMax`, :class:`PatchTransformer` make one vector of theirs
* :class:`SaliencyNet`, :class:`ResNet18Saliency`, :class:`SpectralSaliency` -- what matters: learned small, learned as
  published, and without any training. Each returns *logits* over a lattice; the sampler's softmax makes a map of them
* :class:`NJetConv2d` learns at which scale to look; :class:`NJetSaliencyNet` and :class:`NJetPrefilter` are made of it
* :class:`BoxSaliency`, :class:`FixedSaliency` -- what is known beforehand: boxes of each image, one map for a data set
* :func:`lowres`, :func:`zoom_grid`, :func:`sample` -- the steps, usable alone; :func:`compose` puts flips, crops and
  turns between them
* :class:`AdaptiveDownsample`, :class:`AdaptiveResNet` -- a network that is fine where a mask says so and coarse elsewhere;
  :func:`edge_mask`, :func:`saliency_mask`, :func:`keypoint_mask`, :class:`LearnedMask` make masks
* :class:`MixedResolution` -- tokens for a ViT: all of an image coarsely, its most salient cells finely, too
* :func:`warp_points`, :func:`warp_boxes`, :func:`warp_masks` -- labels into the zoomed image, and ``unwarp_...`` back;
  :func:`unzoom` brings feature maps back, :func:`invert_grid` says where from. :class:`ZoomRecord` keeps an image's zoom

Images are one (batch, channel, height, width) tensor, or (height, width, 3) uint8 tensors of different sizes. Grids are
(x, y) in [-1, 1] of the source with ``align_corners=False``; points beyond the border read the border.
"""

from foveal.sampler._adaptive_downsample import AdaptiveDownsample
from foveal.sampler._adaptive_resnet import AdaptiveResNet
from foveal.sampler._box_saliency import BoxSaliency
from foveal.sampler._dilated_resnet import DilatedResNet
from foveal.sampler._edge_mask import edge_mask
from foveal.sampler._fixed_saliency import FixedSaliency
from foveal.sampler._gaussian_jet import GaussianJet
from foveal.sampler._grid import zoom_grid
from foveal.sampler._invert_grid import invert_grid, unzoom
from foveal.sampler._learned_mask import LearnedMask, budget_loss
from foveal.sampler._lowres import lowres
from foveal.sampler._mixed_resolution import MixedResolution
from foveal.sampler._njet_conv import NJetConv2d
from foveal.sampler._njet_prefilter import NJetPrefilter
from foveal.sampler._njet_saliency_net import NJetSaliencyNet
from foveal.sampler._node_layers import Nodes, on_nodes
from foveal.sampler._node_list import NodeList, NodeLists, node_lists
from foveal.sampler._patch_pool import PatchMax, PatchMean
from foveal.sampler._patch_sampler import PatchSampler
from foveal.sampler._patch_transformer import PatchTransformer
from foveal.sampler._perturbed_topk import PerturbedTopK
from foveal.sampler._resnet import ResNet18Saliency
from foveal.sampler._safe_subsample import safe_subsample
from foveal.sampler._saliency_mask import keypoint_mask, saliency_mask
from foveal.sampler._saliency_net import SaliencyNet
from foveal.sampler._saliency_sampler import SaliencySampler
from foveal.sampler._sample import sample
from foveal.sampler._score_net import ScoreNet, saliency_entropy
from foveal.sampler._spectral import SpectralSaliency
from foveal.sampler._token_positions import token_positions
from foveal.sampler._uniform import UniformSampler
from foveal.sampler._views import compose
from foveal.sampler._warp_boxes import unwarp_boxes, warp_boxes
from foveal.sampler._warp_masks import unwarp_masks, warp_masks
from foveal.sampler._warp_points import unwarp_points, warp_points
from foveal.sampler._zoom_record import ZoomRecord
from foveal.sampler._zoomed import Zoomed

__all__ = [
    "AdaptiveDownsample",
    "AdaptiveResNet",
    "BoxSaliency",
    "DilatedResNet",
    "FixedSaliency",
    "GaussianJet",
    "LearnedMask",
    "MixedResolution",
    "NJetConv2d",
    "NJetPrefilter",
    "NJetSaliencyNet",
    "NodeList",
    "NodeLists",
    "Nodes",
    "PatchMax",
    "PatchMean",
    "PatchSampler",
    "PatchTransformer",
    "PerturbedTopK",
    "ResNet18Saliency",
    "SaliencyNet",
    "SaliencySampler",
    "ScoreNet",
    "SpectralSaliency",
    "UniformSampler",
    "ZoomRecord",
    "Zoomed",
    "budget_loss",
    "compose",
    "edge_mask",
    "invert_grid",
    "keypoint_mask",
    "lowres",
    "node_lists",
    "on_nodes",
    "safe_subsample",
    "saliency_entropy",
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
