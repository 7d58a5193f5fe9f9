"""The random strengths of a zoom on trial: one for each image, remembered until its loss is known."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal.sampler.saliency._prior_saliency import PriorSaliency, known_gain
from foveal.sampler.saliency.training._shown import noted_in, running_backward
from foveal.sampler.saliency.training._training_hook import TrainingHook

# The largest strength that is tried. With more, a classifier finds sooner what only a strong zoom shows.
_STRONGEST = 3.0
# Put in the place of minus infinity, this much below the largest logit. At full strength it is next to nothing, and little less than the rest
# at a small one.
_DEEPEST = 12.0


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Forward:
    """One forward of the saliency: the state of torch's generator and the gain that it began with, and its number if it drew strengths."""

    state: Tensor
    gain: float
    number: int = 0


class Strengths:
    """Multiplies the logits of a saliency that trains by random strengths, and says later which images had which.

    A forward that is computed again during ``backward`` (``torch.utils.checkpoint``) has the strengths and the gain that it had, also
    if the trial ended in between. It is recognised by the state of torch's generator, which is put back for it. So the strengths come from
    that of the CPU on any device, and the hooks stay until no graph is left that may be computed again.

    Those that a saliency has already are ended: nobody may be left to do so, as when a cell of a notebook is run again.
    """

    _latest: ClassVar[WeakKeyDictionary[PriorSaliency, "Strengths"]] = WeakKeyDictionary()

    def __init__(self, saliency: PriorSaliency) -> None:
        if (earlier := self._latest.get(saliency)) is not None:
            earlier.end()
        self._latest[saliency] = self
        self._drawn: dict[int, Tensor] = {}  # the strengths of each call, by its number
        self._calls = 0
        # Those that drew strengths, as long as their graph is there.
        self._alive: WeakSet[_Forward] = WeakSet()
        self._under_way: dict[nn.Module, tuple[_Forward, float]] = {}
        self.goes_on = True
        self._hooks: list[Any] = [  # torch's handles
            saliency.register_forward_pre_hook(TrainingHook(self._before)),
            saliency.register_forward_hook(TrainingHook(self._after), always_call=True),
        ]

    @property
    def waits(self) -> bool:
        """Whether there are strengths whose losses were not taken yet."""
        return bool(self._drawn)

    def end(self) -> None:
        """Draw no more."""
        self.goes_on = False
        self._drawn.clear()
        self._leave()

    def take(self, losses: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Return with what strengths the images of these losses were zoomed, and forget these and earlier ones.

        Raises:
            ValueError: There are not as many.
        """
        calls, count = sorted(each.number for each in noted_in(losses, self)), len(losses)
        drawn = {call: self._drawn[call] for call in calls or self._drawn if call in self._drawn}
        known = sum(map(len, drawn.values()))
        if known < count:
            raise ValueError(
                f"losses must be those of images that were zoomed in training mode since the last call, {known} at most, "
                f"got {count} – make the trial before the first batch, call zoom.train(), checkpoint the zoom with use_reentrant=False, "
                "and observe the sum of several losses."
            )
        last: list[Tensor] = []
        for each in reversed(drawn.values()):
            if calls or sum(map(len, last)) < count:
                last.insert(0, each)
        newest = max(drawn, default=0)
        self._drawn = {call: each for call, each in self._drawn.items() if call > newest}
        strengths = torch.cat([torch.empty(0, device="cpu"), *last])
        if len(strengths) != count:
            raise ValueError(
                f"losses must be one for each of the {len(strengths)} images that were zoomed last, got {count} – leave none out; "
                "an infinite loss does not count."
            )
        return strengths

    def _before(self, saliency: PriorSaliency, _inputs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if running_backward() is None:
            self._leave()
        state, gain = torch.get_rng_state(), known_gain(saliency)
        forward = self._earlier(state) or _Forward(state, gain)
        self._under_way[saliency] = forward, gain
        _set_gain(saliency, forward.gain)

    def _after(self, saliency: PriorSaliency, _inputs: Any, logits: Tensor | None) -> Tensor | None:
        """Vary the logits; there are none if the forward raised an error, such as when enough of it was computed again."""
        if torch.compiler.is_compiling():
            return None if logits is None or not self._varies(saliency, logits) else self._vary(logits)[0]
        forward, gain = self._under_way.pop(saliency, (None, 0.0))
        if forward is None:
            return None
        _set_gain(saliency, gain)
        if logits is None or not (forward.number or self._varies(saliency, logits)):
            return None
        if forward.number:
            return _vary(logits, _draw(len(logits)))
        _check_first()
        varied, forward.number = self._vary(logits)
        node: Any = varied.grad_fn
        if node is not None:
            node.metadata[self] = forward
            self._alive.add(forward)
        return varied

    def _vary(self, logits: Float[Tensor, "batch 1 rows cols"]) -> tuple[Tensor, int]:
        self._calls += 1
        self._drawn[self._calls] = _draw(len(logits))
        return _vary(logits, self._drawn[self._calls]), self._calls

    def _varies(self, saliency: PriorSaliency, logits: Tensor) -> bool:
        return self.goes_on and saliency.training and logits.requires_grad

    def _earlier(self, state: Tensor) -> _Forward | None:
        """Return the forward that is computed again, if it had strengths."""
        if running_backward() is None:
            return None
        return next((each for each in self._alive if torch.equal(each.state, state)), None)

    def _leave(self) -> None:
        """Remove the hooks if nothing is left to do."""
        while self._hooks and not self.goes_on and not self._alive:
            self._hooks.pop().remove()


def _check_first() -> None:
    """Raise if a forward is computed again that drew nothing the first time: other images would have been zoomed than are learned from."""
    if running_backward() is not None:
        raise ValueError(
            "use_reentrant must be False and preserve_rng_state True for a zoom on trial in torch.utils.checkpoint, got other strengths in "
            "backward than in forward – call checkpoint(..., use_reentrant=False)."
        )


def _draw(count: int) -> Float[Tensor, " count"]:
    return _STRONGEST * torch.rand(count, device="cpu")


def _vary(
    logits: Float[Tensor, "batch 1 rows cols"], strengths: Float[Tensor, " batch"]
) -> Float[Tensor, "batch 1 rows cols"]:
    return _finite(logits) * strengths.to(logits.device)[:, None, None, None]


def _finite(logits: Float[Tensor, "batch 1 rows cols"]) -> Float[Tensor, "batch 1 rows cols"]:
    """Replace minus infinity, which cells without any weight have: at no strength would it be less."""
    deepest = logits.detach().amax(dim=(2, 3), keepdim=True) - _DEEPEST
    return torch.where(logits == -math.inf, deepest, logits)


def _set_gain(saliency: PriorSaliency, gain: float) -> None:
    if gain != known_gain(saliency):
        saliency.gain = gain
