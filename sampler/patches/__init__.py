"""Differentiable patch selection (Cordonnier et al. 2021)."""

from foveal.sampler.patches._cut_in_graph import cut_in_graph
from foveal.sampler.patches._patch_lattice import Geometry, patch_corners, patch_grids
from foveal.sampler.patches._patch_pool import PatchMax, PatchMean
from foveal.sampler.patches._patch_transformer import PatchTransformer
from foveal.sampler.patches._patches import cut_patches, mix_patches
from foveal.sampler.patches._perturbed_topk import Gradient, PerturbedTopK, hard_topk
from foveal.sampler.patches._score_net import ScoreNet, saliency_entropy, zero_to_one

__all__ = [
    "Geometry",
    "Gradient",
    "PatchMax",
    "PatchMean",
    "PatchTransformer",
    "PerturbedTopK",
    "ScoreNet",
    "cut_in_graph",
    "cut_patches",
    "hard_topk",
    "mix_patches",
    "patch_corners",
    "patch_grids",
    "saliency_entropy",
    "zero_to_one",
]
