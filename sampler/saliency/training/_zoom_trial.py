"""A zoom on trial: it stays if the network that trains on it gains from it."""

import math
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.saliency.training._prior_of import learns, prior_of

# Images whose losses count, in about: older ones less and less, since the network was another then.
_WINDOW = 3200
# Images without which nothing is decided before the last step.
_FEWEST = 320
# The largest strength that is tried. With more, a classifier finds sooner what only a strong zoom shows.
_STRONGEST = 3.0
# How many standard errors below zero the slope has to be: at any step, where it has many occasions to be there by chance, and at the
# last, where one in forty zooms that bring nothing is. A zoom that brings little costs more than it brings: the classifier has more to learn.
_SURE, _LIKELY = 4.0, 2.0


class ZoomTrial:
    """Finds out during the training of a network whether it gains from its zoom; if not, takes the zoom away.

    Not every task gains from a zoom, and a training loss does not tell which do: a network learns a few hundred images by
    heart, however they are zoomed. So each image is zoomed with a random strength at first: its saliency's logits are
    multiplied by a number between 0, a uniform resize, and 3. Where the zoom helps, the losses of images with stronger zooms
    are lower. When this is certain, all images are zoomed with a strength of 1 from then on. If it does not show within
    ``steps``, the saliency's ``gain`` becomes 0, and all images are resized evenly, in this training and after it.

    Certain means that the slope of the losses by strength is 4 standard errors below zero; at the last step 2 are enough.
    Images are compared within their batch, which needs several. The last few thousand images count, those of all ranks together
    if there is a process group.

    The random numbers come from torch's generator (``torch.manual_seed``). ``state_dict()`` goes into a checkpoint next to
    those of the network, the zoom and the optimizer.

    Args:
        zoom: The zoom that is trained: a sampler whose saliency is a :class:`PriorSaliency`, also in ``DistributedDataParallel``.
            Other zooms and those without trainable parameters are left as they are. Compile it after the trial: torch does not
            notice that a module changes its hooks.
        steps: Number of steps after which the trial ends, such as half of all.

    Attributes:
        helps: Whether the zoom helps; None as long as this is not known. True if there is nothing to try.

    Raises:
        ValueError: ``steps`` is less than 1, or there is more than one :class:`PriorSaliency`.

    Example:
        >>> trial = ZoomTrial(zoom, steps=len(loader) * epochs // 2)
        >>> for images, labels in loader:
        ...     losses = cross_entropy(model(images), labels, reduction="none")
        ...     trial.observe(losses)
        ...     losses.mean().backward()
    """

    helps: bool | None

    def __init__(self, zoom: nn.Module, *, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps!r}.")
        tried = prior_of(zoom)
        self.steps, self._step = steps, 0
        self._sums = torch.zeros(4, dtype=torch.float64)
        self._drawn: list[Tensor] = []
        self.helps, self._hook = None, None
        if tried is None or not learns(tried):
            self.helps = True
            return
        self._saliency = tried
        self._hook = self._saliency.register_forward_hook(self._vary)

    @property
    def standard_errors(self) -> float:
        """The slope of the losses by strength, in standard errors; below zero if stronger zooms have lower losses."""
        count, strength_strength, strength_loss, loss_loss = self._sums.tolist()
        scale = strength_strength * loss_loss
        return float(strength_loss * math.sqrt(count / scale)) if scale > 0 else 0.0

    def observe(self, losses: Float[Tensor, " batch"]) -> None:
        """Take the losses of the images that were zoomed last, in their order; call it once a step, on each rank.

        Once the trial is over, or was closed, it does nothing.

        Raises:
            ValueError: They are not one for each image, or fewer images were zoomed in training mode since the last call.
        """
        if self.helps is not None or self._hook is None:
            return
        if losses.ndim != 1:
            raise ValueError(
                f'losses must be one for each image, got shape {tuple(losses.shape)!r} – compute them with reduction="none".'
            )
        moments = _over_ranks(_moments(self._strengths(len(losses)), losses.detach())).cpu()
        self._sums = self._sums * max(0.0, 1 - float(moments[0]) / _WINDOW) + moments
        self._step += 1
        if self._step >= self.steps:
            self._end(helps=self.standard_errors <= -_LIKELY)
        elif self._sums[0] >= _FEWEST and self.standard_errors <= -_SURE:
            self._end(helps=True)

    def close(self) -> None:
        """Stop trying: from here on all images are zoomed in full. Not needed if the trial came to its end."""
        self._drawn.clear()
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def state_dict(self) -> dict[str, Any]:
        """Return what is known so far, for a checkpoint."""
        return {"helps": self.helps, "step": self._step, "sums": self._sums.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state_dict()``; the zoom's own state has to be loaded as well."""
        self._step, self._sums = state["step"], torch.tensor(state["sums"], dtype=torch.float64)
        if state["helps"] is not None and self.helps is None:
            self._end(helps=state["helps"])

    def _vary(self, saliency: nn.Module, _inputs: Any, logits: Tensor) -> Tensor | None:
        if not saliency.training or not logits.requires_grad:
            return None
        strengths = _STRONGEST * torch.rand(len(logits), device=logits.device)
        self._drawn.append(strengths)
        return logits * strengths[:, None, None, None]

    def _strengths(self, count: int) -> Float[Tensor, " batch"]:
        known = sum(map(len, self._drawn))
        if known < count:
            raise ValueError(
                f"losses must be those of images that were zoomed in training mode since the last call, {known} at most, "
                f"got {count} – make the trial before the first batch, and call zoom.train()."
            )
        strengths = torch.cat(self._drawn)[known - count :].cpu() if self._drawn else torch.empty(0)
        self._drawn.clear()
        return strengths

    def _end(self, *, helps: bool) -> None:
        self.helps = helps
        self.close()
        if not helps:
            self._saliency.gain = 0.0


def _moments(strengths: Float[Tensor, " batch"], losses: Float[Tensor, " batch"]) -> Float[Tensor, " 4"]:
    """Return the number of images less one, and the sums of products of strength and loss, both relative to the batch.

    Relative means less its mean, which costs one degree of freedom, and for losses in units of their spread: they fall during
    the training. Images with an infinite loss do not count.
    """
    counts = torch.isfinite(losses)
    strength, loss = (each.to(losses.device)[counts].double() for each in (strengths, losses))
    if len(loss) < 2:
        return loss.new_zeros(4)
    strength, loss = strength - strength.mean(), loss - loss.mean()
    loss = loss / loss.square().mean().sqrt().clamp(min=1e-12)
    products = [(strength * strength).sum(), (strength * loss).sum(), (loss * loss).sum()]
    return torch.stack([loss.new_tensor(len(loss) - 1), *products])


def _over_ranks(sums: Tensor) -> Tensor:
    """Return the sums over all ranks, so that all decide alike."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(sums)
    return sums
