"""Learned resolution (Pintea et al. 2021): filters of learned scale."""

from foveal.sampler.njet._gaussian_jet import GaussianJet
from foveal.sampler.njet._njet_conv import NJetConv2d
from foveal.sampler.njet._njet_prefilter import NJetPrefilter
from foveal.sampler.njet._njet_saliency_net import NJetSaliencyNet
from foveal.sampler.njet._safe_subsample import safe_subsample

__all__ = ["GaussianJet", "NJetConv2d", "NJetPrefilter", "NJetSaliencyNet", "safe_subsample"]
