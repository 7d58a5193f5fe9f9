"""Saliency from other models: their attention, their evidence for a class, or their features below a head that learns."""

from foveal.sampler.saliency.models._attention_saliency import AttentionSaliency
from foveal.sampler.saliency.models._class_activation_saliency import ClassActivationSaliency
from foveal.sampler.saliency.models._trunk_saliency import TrunkSaliency

__all__ = ["AttentionSaliency", "ClassActivationSaliency", "TrunkSaliency"]
