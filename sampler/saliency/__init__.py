"""Saliency sources: modules from low-resolution images to logits."""

from foveal.sampler.saliency._box_saliency import BoxSaliency
from foveal.sampler.saliency._fixed_saliency import FixedSaliency
from foveal.sampler.saliency._is_shard import is_shard
from foveal.sampler.saliency._learned_spectral_saliency import LearnedSpectralSaliency
from foveal.sampler.saliency._map_channel_saliency import MapChannelSaliency
from foveal.sampler.saliency._map_saliency import GivenMap, MapSaliency, maps_in_views
from foveal.sampler.saliency._prior_saliency import PriorSaliency
from foveal.sampler.saliency._residual import BasicBlock, Bottleneck
from foveal.sampler.saliency._resnet18_saliency import ResNet18Saliency
from foveal.sampler.saliency._saliency_needs import SaliencyNeeds
from foveal.sampler.saliency._saliency_net import SaliencyNet
from foveal.sampler.saliency._saliency_unet import SaliencyUNet
from foveal.sampler.saliency._softmax_map import softmax_map
from foveal.sampler.saliency._spectral_saliency import SpectralSaliency
from foveal.sampler.saliency.models import AttentionSaliency, ClassActivationSaliency, TrunkSaliency
from foveal.sampler.saliency.training import EvidenceTeacher, ZoomTrial, edge_loss

__all__ = [
    "AttentionSaliency",
    "BasicBlock",
    "Bottleneck",
    "BoxSaliency",
    "ClassActivationSaliency",
    "EvidenceTeacher",
    "FixedSaliency",
    "GivenMap",
    "LearnedSpectralSaliency",
    "MapChannelSaliency",
    "MapSaliency",
    "PriorSaliency",
    "ResNet18Saliency",
    "SaliencyNeeds",
    "SaliencyNet",
    "SaliencyUNet",
    "SpectralSaliency",
    "TrunkSaliency",
    "ZoomTrial",
    "edge_loss",
    "is_shard",
    "maps_in_views",
    "softmax_map",
]
