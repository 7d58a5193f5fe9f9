"""Bad samples: their record, and the limit of their number."""

from foveal.pipeline.faults._bad_sample import BadSample, FaultKind
from foveal.pipeline.faults._bad_samples import BadSamples, EpochBadSamples, OnBad, TooManyBadSamplesError
from foveal.pipeline.faults._known_samples import KnownSamples
from foveal.pipeline.faults._quarantine import Quarantine
from foveal.pipeline.faults._verify_command import verify_command

__all__ = [
    "BadSample",
    "BadSamples",
    "EpochBadSamples",
    "FaultKind",
    "KnownSamples",
    "OnBad",
    "Quarantine",
    "TooManyBadSamplesError",
    "verify_command",
]
