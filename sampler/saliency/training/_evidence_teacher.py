"""A network that trains on a zoom teaches the zoom where it found what decides the label."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from foveal.sampler.saliency._prior_saliency import PriorSaliency
from foveal.sampler.saliency.training._evidence_map import coarse_places, evidence_map
from foveal.sampler.saliency.training._zoom_trial import ZoomTrial
from foveal.sampler.saliency.training._zoomed_last import ZoomedLast


class EvidenceTeacher:
    """Teaches the network of a :class:`PriorSaliency` where a classifier finds its evidence.

    A zoom learns from a classifier's gradient by the position of each pixel, which says whether a bit more of this or that place
    would have helped. This says more: the pixels by which the loss changes most are those that decided it (Simonyan et al., Deep Inside
    Convolutional Networks, 2014). During ``backward`` they are brought back through the grid, and the network's own map, without
    the prior, learns to lie there. So what the classifier found in one image tells the network what to look for in others. An image
    counts as much as the classifier is sure of its label: one that knows nothing teaches nothing.

    It is as if each image's loss had a second term, ``strength * p * KL(evidence || network's map)``, with ``p = exp(-loss)``, the
    probability of the label. Its gradient reaches the network alone.

    Args:
        zoom: The zoom that is trained: a :class:`SaliencySampler` whose saliency is a :class:`PriorSaliency`, also in
            ``DistributedDataParallel``. Other zooms and those without a network that is trained are left as they are. Do not compile it (the
            classifier may be): in compiled code nobody can be told.
        after: The zoom's trial: nothing is taught before it has ended well. None to teach from the beginning.
        strength: How strongly the evidence teaches, relative to the loss.

    Raises:
        ValueError: ``strength`` is not positive, or there is more than one :class:`PriorSaliency`.

    Example:
        >>> trial = ZoomTrial(zoom, steps=len(loader) * epochs // 2)
        >>> teacher = EvidenceTeacher(zoom, after=trial)
        >>> for images, labels in loader:
        ...     losses = cross_entropy(model(images), labels, reduction="none")
        ...     trial.observe(losses)
        ...     teacher.observe(losses)
        ...     losses.mean().backward()
    """

    def __init__(self, zoom: nn.Module, *, after: ZoomTrial | None = None, strength: float = 1.0) -> None:
        if not 0 < strength < math.inf:
            raise ValueError(f"strength must be positive and finite, got {strength!r}.")
        taught = [each for each in zoom.modules() if isinstance(each, PriorSaliency)]
        if len(taught) > 1:
            raise ValueError(f"zoom must have at most one PriorSaliency, got {len(taught)}.")
        self.after, self.strength = after, float(strength)
        self._zoomed, self._count = ZoomedLast("teacher"), 0
        self._first, self._weights = 0, torch.empty(0)
        self._logits: Tensor | None = None
        self._hooks: list[Any] = []  # torch's handles
        for each in taught:
            if any(weight.requires_grad for weight in each.network.parameters()):
                self._listen(zoom, each)

    def observe(self, losses: Float[Tensor, " batch"]) -> None:
        """Take the losses of the images that were zoomed last, in their order; call it once a step, before ``backward``.

        As long as the trial has not ended well, and after ``close()``, it does nothing.

        Args:
            losses: The classifier's cross-entropy for each image, with its graph.

        Raises:
            ValueError: They are not one for each image, have no graph, or fewer images were zoomed in training mode since the last call.
        """
        if not self._hooks or self._saliency.gain == 0 or (self.after is not None and not self.after.helps):
            self._zoomed.forget()
            return
        if losses.ndim != 1 or not losses.requires_grad:
            raise ValueError(
                f"losses must be one for each image and have their graph, got shape {tuple(losses.shape)!r} and "
                f'requires_grad={losses.requires_grad!r} – compute them with reduction="none", and do not detach them.'
            )
        if len(losses):
            self._first = int(self._zoomed.take(len(losses))[0])
            sure = self.strength * torch.exp(-losses.detach().float())
            # The gradient has the scale of the loss: that of a mean over accumulated batches, or of mixed precision.
            losses.register_hook(lambda gradient: self._weigh(gradient.float() * sure))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Stop listening to the zoom."""
        self._zoomed.forget()
        while self._hooks:
            self._hooks.pop().remove()

    def lesson(
        self,
        number: int,
        gradient: Float[Tensor, "batch channel height width"],
        logits: Float[Tensor, "batch 1 rows cols"],
        places: Float[Tensor, "batch 2 cells cells"],
    ) -> Float[Tensor, "batch 1 rows cols"] | None:
        """Return the derivative of the second term by the network's logits, or None for images that are not taught."""
        begin, end = number - self._first, number + len(logits) - self._first
        weights = self._weights[max(begin, 0) : max(end, 0)]
        if not len(weights):
            return None
        weights = pad(weights, (max(-begin, 0), max(end - len(self._weights), 0))).clone()
        gain = self._saliency.gain
        told = (gain * logits.float()).flatten(1).softmax(1).view_as(logits)
        aim = evidence_map(gradient.float(), places, (logits.shape[2], logits.shape[3]))
        lesson = gain * weights[:, None, None, None] * (told - aim)
        self._weights[max(begin, 0) : max(end, 0)] = 0  # another loss may come back through the same images
        return lesson.to(logits.dtype)

    def _listen(self, zoom: nn.Module, saliency: PriorSaliency) -> None:
        """Hook onto the network, and onto the sampler, which returns what the classifier sees."""
        self._saliency = saliency
        for each in zoom.modules():
            if getattr(each, "saliency", None) is saliency:
                self._hooks += [
                    saliency.network.register_forward_hook(self._keep),
                    each.register_forward_hook(self._follow, with_kwargs=True),
                ]

    def _keep(self, network: nn.Module, _inputs: Any, logits: Tensor) -> None:
        if network.training and logits.requires_grad and not torch.compiler.is_compiling():
            self._logits = logits

    def _follow(self, _sampler: nn.Module, inputs: Any, named: dict[str, Any], zoomed: Any) -> Any:
        """Return what was zoomed, with images whose gradient teaches on its way back."""
        logits, self._logits = self._logits, None
        if logits is None:
            return zoomed
        if getattr(zoomed, "images", logits).ndim != 4 or not hasattr(zoomed, "grid"):
            self.close()  # patches or tokens, or what is no zoom of Foveal's
            return zoomed
        views = named.get("views", inputs[2] if len(inputs) > 2 else None)
        self._zoomed.keep(torch.arange(self._count, self._count + len(logits)))
        places = coarse_places(zoomed.grid.detach(), views)
        images = _Taught.apply(zoomed.images, logits, places, partial(self.lesson, self._count))  # type: ignore[no-untyped-call]
        self._count += len(logits)
        return zoomed._replace(images=images)

    def _weigh(self, weights: Float[Tensor, " batch"]) -> None:
        self._weights = weights


class _Taught(torch.autograd.Function):
    """Returns the images; on the way back the gradient by them becomes one by the network's logits, too."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, logits: Tensor, places: Tensor, lesson: Callable[..., Tensor | None]
    ) -> Tensor:
        ctx.save_for_backward(logits, places)
        ctx.lesson = lesson
        ctx.mark_dirty(images)  # neither a copy nor a view, which nobody could change in place
        return images

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            lesson = ctx.lesson(gradient, *ctx.saved_tensors)
        return gradient, lesson, None, None
