"""A zoom on trial: it stays if the network that trains on it gains from it."""

import math
import warnings
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from foveal._outside import outside
from foveal.sampler.frames import check_tensor, whole
from foveal.sampler.saliency._prior_saliency import PriorSaliency
from foveal.sampler.saliency.training._prior_of import learns, prior_of
from foveal.sampler.saliency.training._strengths import Strengths

# Images whose losses count, in about: older ones less and less, since the network was another then.
_WINDOW = 3200
# Images without which nothing is decided before the last step.
_FEWEST = 320
# How many standard errors below zero the slope has to be: at any step, where it has many occasions to be there by chance, more with each
# window (`_certain`), and at the last, where one in 160 zooms that bring nothing is. A zoom that brings little costs more than it brings: the
# classifier has more to learn.
_SURE, _LIKELY = 4.0, 2.5


class ZoomTrial:
    """Finds out during the training of a network whether it gains from its zoom; if not, takes the zoom away.

    Not every task gains from a zoom, and a training loss does not tell which do: a network learns a few hundred images by
    heart, however they are zoomed. So each image is zoomed with a random strength at first: its saliency's logits are
    multiplied by a number between 0, a uniform resize, and 3. Where the zoom helps, the losses of images with stronger zooms
    are lower. When this is certain, all images are zoomed with a strength of 1 from then on. If it does not show within
    ``steps``, the saliency's ``gain`` becomes 0, and all images are resized evenly, in this training and after it.

    Certain means that the slope of the losses by strength is 4 standard errors below zero, and the more the longer the trial lasts: 5 after
    300,000 images, 5.7 after ten million. At the last step 2.5 are enough. So of the zooms that bring nothing, one in 160 stays at the last
    step, and one in 400 before. Images are compared within their batch, which needs several. The last few thousand images count, those of all
    ranks together if there is a process group. Steps in which the zoom is frozen do not count.

    That a zoom was taken away is a buffer of its saliency (``taken_away``), so it goes wherever weights go: into ``state_dict()``, safetensors,
    and an average over steps, as ``torch.optim.swa_utils.AveragedModel`` keeps it. A copy of parameters alone does not have it. A copy of a
    zoom on trial (``copy.deepcopy``, ``pickle``) is not on trial: it zooms with a strength of 1, and this trial goes on without it.

    A zoom on trial may be in ``torch.utils.checkpoint.checkpoint(..., use_reentrant=False)``, and is computed again as it was computed first. With
    ``use_reentrant=True`` nobody knows in the first pass that it trains, which is an error.

    The random numbers come from torch's generator of the CPU (``torch.manual_seed``). ``state_dict()`` goes into a checkpoint next to
    those of the network, the zoom and the optimizer.

    Args:
        zoom: The zoom that is trained: a sampler whose saliency is a :class:`PriorSaliency`, also in ``DistributedDataParallel``.
            Other zooms and those without trainable parameters are left as they are; so is one that an earlier trial took away (a
            ``gain`` of 0). Compile it after the trial: torch does not notice that a module changes its hooks. A trial that it is on already
            is closed.
        steps: Number of steps after which the trial ends, such as half of all.

    Attributes:
        helps: Whether the zoom helps; None as long as this is not known. True if there is nothing to try, False if an earlier trial
            took the zoom away.

    Raises:
        TypeError: The zoom is no module, or ``steps`` no whole number.
        ValueError: ``steps`` is less than 1, or there is more than one :class:`PriorSaliency`.

    Example:
        >>> trial = ZoomTrial(zoom, steps=len(loader) * epochs // 2)
        >>> for images, labels in loader:
        ...     losses = cross_entropy(model(images), labels, reduction="none")
        ...     trial.observe(losses)
        ...     losses.mean().backward()
    """

    helps: bool | None
    _strengths: Strengths | None

    def __init__(self, zoom: nn.Module, *, steps: int) -> None:
        self.steps, self._step, self._images = whole(steps, "steps"), 0, 0.0
        tried = prior_of(zoom)
        self._sums = torch.zeros(5, dtype=torch.float64)
        self._saliency, self._strengths = tried, None
        if tried is None or not learns(tried):
            self.helps, self._saliency = True, None
        elif tried.gain == 0:
            self.helps = False
        else:
            self._begin(tried)

    @property
    def standard_errors(self) -> float:
        """The slope of the losses by strength, in standard errors; below zero if stronger zooms have lower losses."""
        count, strength_strength, strength_loss, loss_loss, squares = self._sums.tolist()
        scale = strength_strength * loss_loss * squares
        return float(strength_loss * count / math.sqrt(scale)) if scale > 0 else 0.0

    def observe(self, losses: Float[Tensor, " batch"]) -> None:
        """Take the losses of a batch, in the order of its images; call it once a step, on each rank.

        If they have their graph, it says which images they are of, so that a batch may be zoomed ahead. Otherwise they are those of the images
        that were zoomed last.

        Once the trial is over, or was closed, it does nothing.

        Raises:
            TypeError: They are no tensor.
            ValueError: They are not one for each image that was zoomed in training mode in the last calls of the zoom, or
                there were fewer since the last call of this.

        Warns:
            UserWarning: The trial ends, and no batch had several images to compare.
        """
        strengths = self._strengths
        if self.helps is not None or strengths is None or not strengths.goes_on or self._is_frozen(strengths):
            return
        check_tensor(losses, "losses")
        if losses.ndim != 1:
            raise ValueError(
                f'losses must be one for each image, got shape {tuple(losses.shape)!r} – compute them with reduction="none".'
            )
        moments = _over_ranks(_moments(strengths.take(losses), losses.detach())).cpu()
        images = float(moments[0])
        self._sums = self._sums * _fading(images) + moments
        self._step, self._images = self._step + 1, self._images + images
        if self._step >= self.steps:
            self._warn_if_nothing_was_compared()
            self._end(helps=self.standard_errors <= -_LIKELY)
        elif self._sums[0] >= _FEWEST and self.standard_errors <= -_certain(self._images):
            self._end(helps=True)

    def close(self) -> None:
        """Stop trying: from here on all images are zoomed in full. Not needed if the trial came to its end."""
        if self._strengths is not None:
            self._strengths.end()
            self._strengths = None

    def state_dict(self) -> dict[str, Any]:
        """Return what is known so far, for a checkpoint."""
        return {
            "helps": self.helps,
            "step": self._step,
            "sums": self._sums.tolist(),
            "images": self._images,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``; the zoom's own state has to be loaded as well.

        Raises:
            ValueError: It is not the state of a trial.
        """
        if not {"helps", "step", "sums"} <= set(state):
            raise ValueError(
                f"state must be what ZoomTrial.state_dict() returned, got the keys {sorted(state)!r}."
            )
        if self._saliency is None:
            return
        sums = state["sums"]  # in earlier versions without the last
        self._step, self._images = state["step"], state.get("images", sums[0])
        self._sums = torch.tensor([*sums, sums[0]][:5], dtype=torch.float64)
        if state["helps"] is not None:
            self._end(helps=state["helps"])
        elif self.helps is not None:
            self._begin(self._saliency)

    def __getstate__(self) -> dict[str, Any]:
        """Copy with the zoom, as in a trainer that has both: only there does the copy of the zoom stay on trial."""
        return {**vars(self), "_strengths": self._strengths is not None and self._strengths.goes_on}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on with the copy of the zoom."""
        vars(self).update(state, _strengths=None)
        if state["_strengths"]:
            self._begin(state["_saliency"])

    def _begin(self, saliency: PriorSaliency) -> None:
        self.helps = None
        self._strengths = Strengths(saliency)

    def _is_frozen(self, strengths: Strengths) -> bool:
        return not strengths.waits and self._saliency is not None and not learns(self._saliency)

    def _warn_if_nothing_was_compared(self) -> None:
        if not self._sums[0]:
            warnings.warn(
                f"a ZoomTrial takes the zoom away after {self.steps} steps, because no batch had several images with finite losses to "
                "compare – train with larger batches, or without a trial.",
                UserWarning,
                stacklevel=outside(),
            )

    def _end(self, *, helps: bool) -> None:
        self.helps = helps
        self.close()
        if not helps and self._saliency is not None:
            self._saliency.gain = 0.0


def _certain(images: float) -> float:
    """Return how many standard errors are certain after so many images.

    By chance the slope is four below zero in one of 5,000 windows. With a limit that rises like this, the n-th window has a chance of
    one in 5,000 n, so that the sum over even 20,000 steps of 256 images stays at one in 400; with four it is more than one in four.
    """
    return math.sqrt(_SURE**2 + 2 * math.log(max(images / _WINDOW, 1.0)))


def _fading(count: float) -> Float[Tensor, " 5"]:
    """Return what earlier sums are multiplied by after so many images."""
    kept = max(0.0, 1 - count / _WINDOW)
    return torch.tensor([kept, kept, kept, kept, kept**2], dtype=torch.float64)


def _moments(strengths: Float[Tensor, " batch"], losses: Float[Tensor, " batch"]) -> Float[Tensor, " 5"]:
    """Return the number of images less one, the sums of products of strength and loss, both relative to the batch, and the first once more.

    The last becomes the sum of squared weights, of which the standard error is made: images that count less also say less about it.

    Relative means less its mean, which costs one degree of freedom, and for losses in units of their spread: they fall during
    the training. Images with an infinite loss do not count.
    """
    counts = torch.isfinite(losses)
    strength, loss = (each.to(losses.device)[counts].double() for each in (strengths, losses))
    if len(loss) < 2:
        return loss.new_zeros(5)
    strength, loss = strength - strength.mean(), loss - loss.mean()
    loss = loss / loss.square().mean().sqrt().clamp(min=1e-12)
    products = [(strength * strength).sum(), (strength * loss).sum(), (loss * loss).sum()]
    count = loss.new_tensor(len(loss) - 1)
    return torch.stack([count, *products, count])


def _over_ranks(sums: Tensor) -> Tensor:
    """Return the sums over all ranks, so that all decide alike."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(sums)
    return sums
