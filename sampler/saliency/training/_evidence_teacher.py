"""A network that trains on a zoom teaches the zoom where it found what decides the label."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from foveal.sampler.frames import Views, compose, inverse
from foveal.sampler.saliency._log_shares import log_shares
from foveal.sampler.saliency._prior_saliency import PriorSaliency
from foveal.sampler.saliency.training._zoomed_last import ZoomedLast

# Cells along each side of the zoomed image in which gradients are added up: about as fine as a classifier tells places apart.
_CELLS = 12
# Cells with less than this share of the largest sum do not count: gradients are never zero.
_LEAST = 0.5
# Standard deviation of what is drawn around each cell that counts, as a fraction of the source's sides; and the share of a
# lesson that is even.
_BANDWIDTH, _EVEN = 0.06, 1 / 7


class EvidenceTeacher:
    """Teaches the network of a :class:`PriorSaliency` where a classifier finds its evidence.

    A zoom learns from a classifier's gradient by the position of each pixel, which says whether a bit more of this or that place
    would have helped. This says more: the pixels by which the loss changes most are those that decided it (Simonyan et al., Deep Inside
    Convolutional Networks, 2014). They are brought back through the grid, and the network's own map, without the prior, learns
    to lie there. So what the classifier found in one image tells the network what to look for in others. An image counts as
    much as the classifier is sure of its label: one that knows nothing teaches nothing.

    Make it when the classifier sees full zooms: with a :class:`ZoomTrial`, when that has ended and the zoom stays.

    Args:
        zoom: The zoom that is trained: a sampler whose saliency is a :class:`PriorSaliency`, also in ``DistributedDataParallel``. Its
            ``network`` should be able to tell things apart, as :class:`SaliencyUNet` is.

    Raises:
        ValueError: The zoom has no :class:`PriorSaliency` whose network is trained, or more than one.

    Example:
        >>> teacher = EvidenceTeacher(zoom)
        >>> for images, labels, grid in loader:  # fields=("image", "cls", "__grid__")
        ...     seen = images.detach().requires_grad_()
        ...     losses = cross_entropy(model(seen), labels, reduction="none")
        ...     losses.mean().backward()
        ...     lesson = teacher.lesson(seen.grad, grid, losses.detach())
        ...     torch.autograd.backward([images, lesson], [seen.grad, None])
    """

    def __init__(self, zoom: nn.Module) -> None:
        taught = [each for each in zoom.modules() if isinstance(each, PriorSaliency)]
        trained = [
            each for each in taught if any(weight.requires_grad for weight in each.network.parameters())
        ]
        if len(taught) != 1 or not trained:
            raise ValueError(
                f"zoom must have one PriorSaliency with a network that is trained, got {len(trained)} of {len(taught)} – "
                "give SaliencySampler saliency=PriorSaliency(SaliencyUNet())."
            )
        self._saliency = taught[0]
        self._told = ZoomedLast("teacher")
        self._hook = self._saliency.network.register_forward_hook(self._keep)

    def lesson(
        self,
        gradient: Float[Tensor, "batch channel height width"],
        grid: Float[Tensor, "batch height width 2"],
        losses: Float[Tensor, " batch"],
        *,
        views: Views | None = None,
    ) -> Float[Tensor, ""]:
        """Return how much the network's map differs from where the evidence is; call it once a step, for the images that were zoomed last.

        Args:
            gradient: Derivatives of the losses with respect to the zoomed images, on any scale.
            grid: The grid that the images were sampled with.
            losses: The classifier's cross-entropy for each image: ``exp(-loss)``, the probability of its label, is its weight.
            views: Those that the images were sampled with, if any (``"__view__"`` of a loader).

        Returns:
            The mean over the batch of the Kullback-Leibler divergence, in nats. Its gradient reaches the network alone.

        Raises:
            ValueError: Fewer images were zoomed in training mode since the last call.
        """
        logits = self._told.take(len(losses)) * self._saliency.gain
        with torch.autocast(logits.device.type, enabled=False):
            told = logits.float().flatten(1).log_softmax(1)
            with torch.no_grad():
                aim = log_shares(
                    _places(gradient.float(), _in_view(grid, views).float(), logits.shape[2:]), _EVEN
                ).flatten(1)
                sure = torch.exp(-losses.float())
            return (sure * (aim.exp() * (aim - told)).sum(1)).mean()

    def close(self) -> None:
        """Stop listening to the network."""
        self._told.forget()
        self._hook.remove()

    def _keep(self, network: nn.Module, _inputs: Any, logits: Tensor) -> None:
        if network.training and logits.requires_grad:
            self._told.keep(logits)


def _in_view(
    grid: Float[Tensor, "batch height width 2"], views: Views | None
) -> Float[Tensor, "batch height width 2"]:
    """Return the grid in the frame of the saliency."""
    return grid if views is None else compose(inverse(views).to(grid), grid)


def _places(
    gradient: Float[Tensor, "batch channel height width"],
    grid: Float[Tensor, "batch height width 2"],
    nodes: torch.Size,
) -> Float[Tensor, "batch 1 rows cols"]:
    """Return the strength of the evidence around each node of a map, which lie on [-1, 1] from edge to edge."""
    strength = adaptive_avg_pool2d(gradient.abs().sum(1, keepdim=True), _CELLS).flatten(1)
    strength = strength / strength.amax(1, keepdim=True).clamp(min=torch.finfo(strength.dtype).tiny)
    strength = torch.where(strength >= _LEAST, strength, 0)
    x, y = adaptive_avg_pool2d(grid.movedim(-1, 1), _CELLS).flatten(2).unbind(1)
    rows, cols = nodes
    return ((strength[..., None] * _around(y, rows)).mT @ _around(x, cols))[:, None]


def _around(at: Float[Tensor, "batch cells"], nodes: int) -> Float[Tensor, "batch cells nodes"]:
    """Return a Gaussian around each position in [-1, 1], at the nodes from -1 to 1."""
    distance = torch.linspace(-1, 1, nodes, dtype=at.dtype, device=at.device) - at[..., None]
    return torch.exp(-0.5 * (distance / (2 * _BANDWIDTH)) ** 2)
