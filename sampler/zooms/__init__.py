"""Zooms: the modules that a loader calls with images, and that return a batch."""

from foveal.sampler.zooms._checkpoint import is_checkpoint
from foveal.sampler.zooms._looked_at import lost_images
from foveal.sampler.zooms._mixed_resolution import MixedResolution
from foveal.sampler.zooms._patch_sampler import PatchSampler
from foveal.sampler.zooms._saliency_sampler import SaliencySampler
from foveal.sampler.zooms._token_positions import token_positions
from foveal.sampler.zooms._uniform_sampler import UniformSampler
from foveal.sampler.zooms._zoom_needs import ZoomNeeds, unwrapped
from foveal.sampler.zooms._zoom_record import ZoomRecord, map_from_json, map_to_json
from foveal.sampler.zooms._zoomed import Zoomed

__all__ = [
    "MixedResolution",
    "PatchSampler",
    "SaliencySampler",
    "UniformSampler",
    "ZoomNeeds",
    "ZoomRecord",
    "Zoomed",
    "is_checkpoint",
    "lost_images",
    "map_from_json",
    "map_to_json",
    "token_positions",
    "unwrapped",
]
