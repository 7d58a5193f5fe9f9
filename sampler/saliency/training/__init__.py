"""What trains saliency, or decides whether it is trained: losses of the saliency alone, and the trial of a zoom."""

from foveal.sampler.saliency.training._edge_loss import edge_loss
from foveal.sampler.saliency.training._evidence_teacher import EvidenceTeacher
from foveal.sampler.saliency.training._prior_of import learns
from foveal.sampler.saliency.training._training_hook import TrainingHook
from foveal.sampler.saliency.training._zoom_trial import ZoomTrial

__all__ = ["EvidenceTeacher", "TrainingHook", "ZoomTrial", "edge_loss", "learns"]
