"""Options of a training that depend on the zoom, which may be the caller's or from a file."""

from torch import nn

from foveal.sampler.saliency.training import learns
from foveal.tools.training._zoom_parts import priors_in, trunks_in
from foveal.tools.training.options import TrainOptions


def check_zoom(zoom: nn.Module, options: TrainOptions) -> None:
    """Raise if an option would do nothing to this zoom.

    Raises:
        ValueError: ``trunk_lr`` is given without a trunk that is trained, or the other way round; or ``trial`` or ``evidence``
            without a :class:`PriorSaliency` that is trained.
    """
    _check_trunk_lr(zoom, options)
    if not any(learns(each) for each in priors_in(zoom)):
        for name, usual in options.unusual_learning().items():
            raise ValueError(
                f"{name} must be 0 or {usual!r} for a zoom without a PriorSaliency that is trained, got {getattr(options, name)!r} – "
                "leave it out."
            )


def _check_trunk_lr(zoom: nn.Module, options: TrainOptions) -> None:
    trained, rate = any(learns(each.model) for each in trunks_in(zoom)), options.trunk_lr
    if rate and not trained:
        raise ValueError(
            f"trunk_lr must be 0.0 for a zoom without a trunk that is trained, got {rate!r} – name a trunk, make TrunkSaliency with "
            "frozen=False, or leave it out."
        )
    if trained and not rate:
        raise ValueError(
            f"trunk_lr must be positive for a zoom with a trunk that is not frozen, got {rate!r} – choose a rate, e.g. 0.03, or make "
            "TrunkSaliency with frozen=True."
        )
