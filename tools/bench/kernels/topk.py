"""``foveal bench topk``: how fast is a perturbed top-K that keeps indices, compared with one that keeps one-hot draws?

Both choose 5 of 2028 positions (those of a scene of 960 x 1280 pixels at a third of its size), with 500 draws for each of
4 images: forward, and backward by the published gradient. As one-hot vectors the draws are one array of 4 x 500 x 5 x
2028 numbers, from which both passes compute a mean and a product. Both draw the same noise, and its time counts for both.
Everything runs on one thread: on a busy machine, the many short operations of the choice by indices would mostly wait for
threads.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor
from torch.nn.functional import one_hot

from foveal.sampler import PerturbedTopK
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.timing import alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table

BATCH, SIGMA = 4, 0.05
TOLERANCE = 1e-4
INDICES, ONE_HOT = "indices, as PerturbedTopK", "one-hot draws, written out"

Choice = Callable[[Tensor, torch.Generator], Tensor]


def bench_topk(
    *,
    repeats: int = 7,
    positions: int = 2028,
    k: int = 5,
    samples: int = 500,
    json_path: Path | None = None,
) -> float:
    """Time both after checking that they agree, print a table, and return how many times as fast indices are.

    Args:
        repeats: Rounds.
        positions: Number of positions to choose from.
        k: Number of positions that are chosen.
        samples: Draws of noise.
        json_path: Where the numbers go too.

    Raises:
        ValueError: Weights or gradients differ.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _bench(repeats, positions, k, samples, json_path)
    finally:
        torch.set_num_threads(threads)


def _bench(repeats: int, positions: int, k: int, samples: int, json_path: Path | None) -> float:
    console = Console()
    scores = torch.rand(BATCH, positions, generator=torch.Generator().manual_seed(0))
    upstream = torch.randn(BATCH, k, positions, generator=torch.Generator().manual_seed(1))
    ours: Choice = PerturbedTopK(k, sigma=SIGMA, samples=samples)
    written_out = one_hot_choice(k, samples)
    weights, gradients = check_choices(ours, written_out, scores, upstream)
    console.print(
        f"{k} of {positions} positions, {samples} draws, batch of {BATCH}, forward and backward, on one of {describe_machine()}; "
        f"differ by {weights:.0e} (weights) and {gradients:.0e} (gradients)",
        soft_wrap=True,
    )
    cases = {
        INDICES: lambda: forward_backward(ours, scores, upstream),
        ONE_HOT: lambda: forward_backward(written_out, scores, upstream),
    }
    timings = alternate(cases, repeats, console=console)
    ratio = timings[INDICES].times_faster_than(timings[ONE_HOT])
    rows = [
        [name, f"{1000 * timing.median:.1f}", f"{timing.times_faster_than(timings[ONE_HOT]):.1f}"]
        for name, timing in timings.items()
    ]
    print_table(console, ["", "ms", "times as fast"], rows)
    if json_path:
        facts = {"positions": positions, "k": k, "samples": samples, "batch": BATCH, "times_as_fast": ratio}
        write_json(json_path, "topk", timings, **facts)
    return ratio


def one_hot_choice(k: int, samples: int) -> Choice:
    """Return the choice as the paper's definition reads, in PyTorch."""

    def choose(scores: Tensor, generator: torch.Generator) -> Tensor:
        weights: Tensor = _OneHot.apply(scores, k, samples, generator)  # type: ignore[no-untyped-call]
        return weights

    return choose


class _OneHot(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Float[Tensor, "batch positions"], k: int, samples: int, generator: torch.Generator
    ) -> Float[Tensor, "batch k positions"]:
        batch, positions = scores.shape
        noise = torch.randn(batch, samples, positions, generator=generator)
        chosen = (scores[:, None] + SIGMA * noise).topk(k, sorted=False).indices.sort(-1).values
        draws = one_hot(chosen, positions).float()
        ctx.save_for_backward(draws, noise)
        return draws.mean(1)

    @staticmethod
    def backward(
        ctx: Any, *upstream: Float[Tensor, "batch k positions"]
    ) -> tuple[Float[Tensor, "batch positions"], None, None, None]:
        draws, noise = ctx.saved_tensors
        slope = torch.einsum("bnkd,bnd->bkd", draws, noise) / (draws.shape[1] * SIGMA)
        return torch.einsum("bkd,bkd->bd", upstream[0], slope), None, None, None


def forward_backward(
    choice: Choice, scores: Float[Tensor, "batch positions"], upstream: Float[Tensor, "batch k positions"]
) -> tuple[Tensor, Tensor]:
    """Return the weights, and the gradient with respect to the scores."""
    leaf = scores.detach().requires_grad_()
    weights = choice(leaf, torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(weights, leaf, upstream)
    return weights.detach(), gradient


def check_choices(ours: Choice, reference: Choice, scores: Tensor, upstream: Tensor) -> tuple[float, float]:
    """Return by how much weights and gradients differ, each relative to its largest value.

    Raises:
        ValueError: By more than ``TOLERANCE``.
    """
    found = forward_backward(ours, scores, upstream)
    expected = forward_backward(reference, scores, upstream)
    weights = check_agreement("weights", found[0], expected[0], TOLERANCE, relative=True)
    return weights, check_agreement("gradients", found[1], expected[1], TOLERANCE, relative=True)
