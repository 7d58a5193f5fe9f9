"""Saliency, grids and sampling: decides where to look in an image, and samples it there. Tensors in, tensors out.

* :class:`SaliencySampler` zooms each image to what its saliency says matters; :class:`UniformSampler` resizes evenly
* :class:`PatchSampler` returns the K best patches instead, chosen by :class:`ScoreNet` and :class:`PerturbedTopK`;
:class:`PatchMean`, :class:`PatchMax`, :class:`PatchTransformer` combine the features of the patches into one vector
* :class:`SaliencyNet`, :class:`SaliencyUNet`, :class:`ResNet18Saliency`, :class:`SpectralSaliency` -- what matters: learned
  small, learned from boxes, learned as published, and without any training; :class:`PriorSaliency` adds what a network learns to one of the last kind, by default to
  :class:`LearnedSpectralSaliency`. Each returns *logits* over a lattice; the sampler's softmax makes a map of them
* :class:`AttentionSaliency`, :class:`ClassActivationSaliency` -- what another model, a vision transformer or a classifier, attends to;
  :class:`TrunkSaliency` learns from a pretrained model's features
* :func:`edge_loss` teaches a network to look where classes meet, :class:`EvidenceTeacher` where a classifier finds what decides the label
* :class:`NJetConv2d` learns at which scale to look; :class:`NJetSaliencyNet` and :class:`NJetPrefilter` are made of it
* :class:`BoxSaliency`, :class:`MapSaliency`, :class:`FixedSaliency` -- what is known beforehand: boxes of each image, a map
  of each image, one map for a data set; :class:`MapChannelSaliency` is a network that sees a map of each image
* :func:`lowres`, :func:`zoom_grid`, :func:`sample` -- the steps, usable alone; :func:`compose` puts flips, crops and
  turns between them
* :class:`AdaptiveDownsample`, :class:`AdaptiveResNet` -- a network that is fine where a mask says so and coarse elsewhere;
  :func:`edge_mask`, :func:`saliency_mask`, :func:`keypoint_mask`, :class:`LearnedMask` make masks
* :class:`MixedResolution` -- tokens for a ViT: all of an image coarsely, its most salient cells finely, too
* :func:`warp_points`, :func:`warp_boxes`, :func:`warp_masks` -- labels into the zoomed image, and ``unwarp_...`` back;
  :func:`unzoom` brings feature maps back, by :func:`invert_grid`. :class:`ZoomRecord` stores an image's zoom

Images are one (batch, channel, height, width) tensor, or (height, width, 3) uint8 tensors of different sizes. Grids are
(x, y) in [-1, 1] of the source with ``align_corners=False``; points beyond the border read the border.
"""

from foveal.sampler.adaptive import (
    AdaptiveDownsample,
    AdaptiveResNet,
    DilatedResNet,
    LearnedMask,
    NodeList,
    NodeLists,
    Nodes,
    budget_loss,
    edge_mask,
    keypoint_mask,
    node_lists,
    on_nodes,
    saliency_mask,
)
from foveal.sampler.frames import compose, to_lattice
from foveal.sampler.grids import Family, Padding, zoom_grid
from foveal.sampler.labels import (
    invert_grid,
    unwarp_boxes,
    unwarp_masks,
    unwarp_points,
    unzoom,
    warp_boxes,
    warp_masks,
    warp_points,
)
from foveal.sampler.njet import GaussianJet, NJetConv2d, NJetPrefilter, NJetSaliencyNet, safe_subsample
from foveal.sampler.patches import (
    PatchMax,
    PatchMean,
    PatchTransformer,
    PerturbedTopK,
    ScoreNet,
    saliency_entropy,
)
from foveal.sampler.saliency import (
    AttentionSaliency,
    BoxSaliency,
    ClassActivationSaliency,
    EvidenceTeacher,
    FixedSaliency,
    LearnedSpectralSaliency,
    MapChannelSaliency,
    MapSaliency,
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencyUNet,
    SpectralSaliency,
    TrunkSaliency,
    ZoomTrial,
    edge_loss,
)
from foveal.sampler.sampling import lowres, sample
from foveal.sampler.zooms import (
    MixedResolution,
    PatchSampler,
    SaliencySampler,
    UniformSampler,
    Zoomed,
    ZoomNeeds,
    ZoomRecord,
    token_positions,
)

__all__ = [
    "AdaptiveDownsample",
    "AdaptiveResNet",
    "AttentionSaliency",
    "BoxSaliency",
    "ClassActivationSaliency",
    "DilatedResNet",
    "EvidenceTeacher",
    "Family",
    "FixedSaliency",
    "GaussianJet",
    "LearnedMask",
    "LearnedSpectralSaliency",
    "MapChannelSaliency",
    "MapSaliency",
    "MixedResolution",
    "NJetConv2d",
    "NJetPrefilter",
    "NJetSaliencyNet",
    "NodeList",
    "NodeLists",
    "Nodes",
    "Padding",
    "PatchMax",
    "PatchMean",
    "PatchSampler",
    "PatchTransformer",
    "PerturbedTopK",
    "PriorSaliency",
    "ResNet18Saliency",
    "SaliencyNet",
    "SaliencySampler",
    "SaliencyUNet",
    "ScoreNet",
    "SpectralSaliency",
    "TrunkSaliency",
    "UniformSampler",
    "ZoomNeeds",
    "ZoomRecord",
    "ZoomTrial",
    "Zoomed",
    "budget_loss",
    "compose",
    "edge_loss",
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
    "to_lattice",
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
