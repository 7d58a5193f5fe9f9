"""One epoch: its plan, its stages, and its batches."""

from foveal.pipeline.epoch._at_work import AtWork
from foveal.pipeline.epoch._augment import Augment, check_augment
from foveal.pipeline.epoch._drift import may_drift
from foveal.pipeline.epoch._epoch import Chain
from foveal.pipeline.epoch._iterator import EpochIterator
from foveal.pipeline.epoch._join import Batch
from foveal.pipeline.epoch._loader_options import LoaderOptions
from foveal.pipeline.epoch._loader_state import identity, make_state, read_state
from foveal.pipeline.epoch._lost_saliency import check_saliency
from foveal.pipeline.epoch._micro_batch import micro_batch_size, zoomed_together
from foveal.pipeline.epoch._plan import BatchPlan, LastBatch
from foveal.pipeline.epoch._position import EpochPlace, Position
from foveal.pipeline.epoch._ranks import Ranks, RankWarning

__all__ = [
    "AtWork",
    "Augment",
    "Batch",
    "BatchPlan",
    "Chain",
    "EpochIterator",
    "EpochPlace",
    "LastBatch",
    "LoaderOptions",
    "Position",
    "RankWarning",
    "Ranks",
    "check_augment",
    "check_saliency",
    "identity",
    "make_state",
    "may_drift",
    "micro_batch_size",
    "read_state",
    "zoomed_together",
]
