"""What is remembered of zoomed images until their gradient comes back."""

from collections.abc import Hashable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from foveal.sampler.saliency.training._evidence_map import evidence_map


class Shown:
    """Images that were zoomed together: what their network told, and where they lie.

    Args:
        number: Its place among all that were zoomed.
        logits: The network's, without their graph.
        places: As :func:`coarse_places` returns it.
        gain: What multiplies the logits before the softmax.

    A ``backward`` may end before it reaches images or logits, and leaves nothing to the next.
    """

    def __init__(
        self,
        number: int,
        logits: Float[Tensor, "batch 1 rows cols"],
        places: Float[Tensor, "batch 2 cells cells"],
        gain: float,
    ) -> None:
        self.number, self.logits, self.places, self.gain = number, logits, places, gain
        self._weights: Float[Tensor, " batch"] | None = None
        self._lesson: Tensor | None = None
        self._backward: int | None = None

    def weigh(self, weights: Float[Tensor, " batch"]) -> None:
        """Let each image count so much in the ``backward`` that goes on; several losses add up."""
        if not self._goes_on():
            self._backward, self._weights, self._lesson = running_backward(), None, None
        self._weights = weights if self._weights is None else self._weights + weights

    def learn(self, gradient: Float[Tensor, "batch channel height width"]) -> None:
        """See by which pixels the observed losses change."""
        weights, self._weights = self._weights, None
        if weights is None or not self._goes_on():
            return
        with torch.no_grad():
            told = (self.gain * self.logits.float()).flatten(1).softmax(1).view_as(self.logits)
            aim = evidence_map(gradient.float(), self.places, (self.logits.shape[2], self.logits.shape[3]))
            # The derivative of weight * KL(aim || told) by the logits.
            self._lesson = self.gain * weights[:, None, None, None] * (told - aim)

    def teach(
        self, gradient: Float[Tensor, "batch 1 rows cols"]
    ) -> Float[Tensor, "batch 1 rows cols"] | None:
        """Add the lesson to the gradient by the logits, which torch knows after that by the images."""
        lesson, self._lesson = self._lesson, None
        return gradient + lesson.to(gradient.dtype) if lesson is not None and self._goes_on() else None

    def _goes_on(self) -> bool:
        return self._backward == running_backward()


def running_backward() -> int | None:
    """Return the number of the ``backward`` that goes on in this thread, as it does while a forward is computed again; None without one."""
    number = torch._C._current_graph_task_id()  # noqa: SLF001 - torch.utils.checkpoint asks for it, too
    return None if number < 0 else number


def shown_to(losses: Float[Tensor, " batch"], teacher: Hashable) -> list[Shown]:
    """Return what a teacher's zoom showed, in its order, of all that the graph of losses leads to."""
    found: list[Shown] = noted_in(losses, teacher)
    return sorted(found, key=lambda each: each.number)


def noted_in(losses: Float[Tensor, " batch"], key: Hashable) -> list[Any]:
    """Return what stands under a key in the metadata of the nearest nodes that the graph of losses leads to."""
    ahead, seen, found = [losses.grad_fn], set(), []
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        known: Any = node.metadata
        noted = known.get(key)
        if noted is None:
            ahead += [each for each, _ in node.next_functions]
        else:
            found.append(noted)
    return found
