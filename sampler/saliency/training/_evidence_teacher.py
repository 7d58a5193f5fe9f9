"""A network that trains on a zoom teaches the zoom where it found what decides the label."""

import math
import warnings
from typing import Any, ClassVar
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal._outside import outside
from foveal.sampler.frames import check_tensor
from foveal.sampler.saliency._prior_saliency import PriorSaliency, known_gain
from foveal.sampler.saliency.training._evidence_map import coarse_places
from foveal.sampler.saliency.training._prior_of import learns, prior_of
from foveal.sampler.saliency.training._shown import Shown, running_backward, shown_to
from foveal.sampler.saliency.training._training_hook import TrainingHook
from foveal.sampler.saliency.training._zoom_trial import ZoomTrial

# Batches that were observed one after the other without any gradient before something is said: more than a loop accumulates in one graph.
_UNHEARD = 100


class EvidenceTeacher:
    """Teaches the network of a :class:`PriorSaliency` where a classifier finds its evidence.

    A zoom learns from a classifier's gradient by the position of each pixel, which says whether a bit more of this or that place
    would have helped. This says more: the pixels by which the loss changes most are those that decided it (Simonyan et al., Deep Inside
    Convolutional Networks, 2014). During ``backward`` they are brought back through the grid, and the network's own map, without
    the prior, learns to lie there. So what the classifier found in one image tells the network what to look for in others. An image
    counts as much as the classifier is sure of its label: one that knows nothing teaches nothing.

    It is as if each image's loss had a second term, ``strength * p * KL(evidence || network's map)``, with ``p = exp(-loss)``, the
    probability of the label. Its gradient reaches the network alone. If several losses of the same images are observed, as of a network with two
    heads, each has its own ``p``; those that come back in one ``backward`` have their evidence in common.

    A copy of the zoom (``copy.deepcopy``, ``pickle``) is not taught, unless the teacher is copied with it.

    Args:
        zoom: The zoom that is trained: a :class:`SaliencySampler` whose saliency is a :class:`PriorSaliency`, also in
            ``DistributedDataParallel``. Other zooms and those without a network that is trained are left as they are. Do not compile it (the
            classifier may be): in compiled code nobody can be told. In ``torch.utils.checkpoint.checkpoint`` it needs ``use_reentrant=False``.
            A teacher that it has already is closed.
        after: The zoom's trial: nothing is taught before it has ended well. None to teach from the beginning.
        strength: How strongly the evidence teaches, relative to the loss.

    Raises:
        TypeError: The zoom is no module.
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

    _latest: ClassVar[WeakKeyDictionary[PriorSaliency, ReferenceType["EvidenceTeacher"]]] = (
        WeakKeyDictionary()
    )

    def __init__(self, zoom: nn.Module, *, after: ZoomTrial | None = None, strength: float = 1.0) -> None:
        if not 0 < strength < math.inf:
            raise ValueError(f"strength must be positive and finite, got {strength!r}.")
        taught = prior_of(zoom)
        self.after, self.strength, self._zoom = after, float(strength), zoom
        self._logits: Tensor | None = None
        self._zooms, self._count = False, 0
        self._unheard, self._has_warned = 0, False
        self._hooks: list[Any] = []  # torch's handles
        if taught is not None and learns(taught.network):
            self._listen(zoom, taught)

    def observe(self, losses: Float[Tensor, " batch"]) -> None:
        """Take the losses of a batch, in the order of its images; call it before the ``backward`` that goes through them.

        As long as the trial has not ended well, if the network does not learn any more, and after ``close()``, it does nothing.

        Args:
            losses: The classifier's cross-entropy for each image, with its graph.

        Raises:
            TypeError: They are no tensor.
            ValueError: They are not one for each image, have no graph, or it does not lead to images that were zoomed in training mode.

        Warns:
            UserWarning: Once: no ``backward`` went through the losses of the last 100 batches.
        """
        if (
            not self._hooks
            or known_gain(self._saliency) == 0
            or (self.after is not None and not self.after.helps)
        ):
            return
        check_tensor(losses, "losses")
        if losses.ndim != 1 or not losses.requires_grad:
            raise ValueError(
                f"losses must be one for each image and have their graph, got shape {tuple(losses.shape)!r} and "
                f'requires_grad={losses.requires_grad!r} – compute them with reduction="none", and do not detach them.'
            )
        shown = shown_to(losses, self)
        if shown or learns(self._saliency.network):
            _check(shown, losses)
            sure = self.strength * torch.exp(-losses.detach().float())
            self._warn_if_unheard()

            def weigh(gradient: Tensor) -> None:
                self._unheard = 0
                # The gradient has the scale of the loss: that of a mean over accumulated batches, or of mixed precision.
                _weigh(shown, gradient.detach().float() * sure)

            losses.register_hook(weigh)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Stop listening to the zoom."""
        while self._hooks:
            self._hooks.pop().remove()

    def __getstate__(self) -> dict[str, Any]:
        """Copy with the zoom, as in a trainer that has both: only there is the copy of the zoom taught."""
        return {**vars(self), "_hooks": bool(self._hooks), "_logits": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Listen to the copy of the zoom."""
        vars(self).update(state, _hooks=[])
        if state["_hooks"]:
            self._listen(state["_zoom"], state["_saliency"])

    def _warn_if_unheard(self) -> None:
        self._unheard += 1
        if self._unheard > _UNHEARD and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"the losses of {_UNHEARD} batches were observed, and no backward went through them, so nothing was taught – give "
                "EvidenceTeacher.observe the tensor that backward goes through, or call close().",
                UserWarning,
                stacklevel=outside(),
            )

    def _listen(self, zoom: nn.Module, saliency: PriorSaliency) -> None:
        """Hook onto the network, and onto the sampler, which returns what the classifier sees.

        A teacher that is there already is closed: nobody may be left to do so, as when a cell of a notebook is run again.
        """
        if (found := self._latest.get(saliency)) is not None and (earlier := found()) is not None:
            earlier.close()
        self._saliency, self._latest[saliency] = saliency, ref(self)
        for each in zoom.modules():
            if getattr(each, "saliency", None) is saliency:
                self._hooks += [
                    each.register_forward_pre_hook(TrainingHook(self._begin)),
                    saliency.network.register_forward_hook(TrainingHook(self._keep)),
                    each.register_forward_hook(TrainingHook(self._follow), with_kwargs=True),
                ]

    def _begin(self, sampler: nn.Module, _inputs: Any) -> None:
        # The network itself may be in evaluation mode, for its batch norms. What is computed again in a backward was shown before.
        self._logits = None
        self._zooms = sampler.training and (torch.compiler.is_compiling() or running_backward() is None)

    def _keep(self, _network: nn.Module, _inputs: Any, logits: Tensor) -> Tensor | None:
        followed = self._zooms and logits.requires_grad
        if not followed or torch.compiler.is_compiling():
            return None
        # A parameter would keep each hook.
        self._logits = logits.view_as(logits) if logits.is_leaf else logits
        return self._logits

    def _follow(self, sampler: nn.Module, inputs: Any, named: dict[str, Any], zoomed: Any) -> None:
        """Have what was zoomed remember where it lies, until its gradient comes back."""
        logits, self._logits, self._zooms = self._logits, None, False
        images = getattr(zoomed, "images", None)
        if logits is None or images is None:
            return
        if images.ndim != 4:
            self.close()  # patches or tokens
            return
        if images.grad_fn is None:
            return
        views = named.get("views", inputs[2] if len(inputs) > 2 else None)
        places = coarse_places(zoomed.grid.detach(), views)
        gain = known_gain(self._saliency) / getattr(sampler, "temperature", 1.0)
        shown = Shown(self._count, logits.detach(), places, gain)
        self._count += 1
        images.grad_fn.metadata[self] = shown
        images.register_hook(shown.learn)
        logits.register_hook(shown.teach)  # type: ignore[no-untyped-call]


def _check(shown: list[Shown], losses: Float[Tensor, " batch"]) -> None:
    count = sum(len(each.logits) for each in shown)
    if not shown:
        raise ValueError(
            "losses must lead to images that were zoomed in training mode, got none in their graph – make the teacher before the first "
            "batch, checkpoint the zoom with use_reentrant=False, call zoom.train(), and do not compile the zoom."
        )
    if count != len(losses):
        raise ValueError(
            f"losses must be one for each of the {count} images that were zoomed, got {len(losses)}{_why(shown)}."
        )


def _why(shown: list[Shown]) -> str:
    if len(shown) < 2 or not torch.equal(shown[0].places, shown[1].places):
        return ""
    return " – images of 16 bits are zoomed twice by a zoom of yours, unless it says takes_deep = True"


def _weigh(shown: list[Shown], weights: Float[Tensor, " batch"]) -> None:
    for each, part in zip(shown, torch.split(weights, [len(each.logits) for each in shown]), strict=True):
        each.weigh(part)
