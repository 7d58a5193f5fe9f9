"""Runs the scripts of docs/frameworks.md: from beginning to end, stopped in the middle, and again after the stop."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from foveal.pipeline.epoch import EpochIterator
from tests.docs.blocks import python_blocks

PAGE = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()


class StoppedError(Exception):
    """Raised to stop a run."""


@dataclass(slots=True)
class Run:
    """What a run of a script did.

    Attributes:
        labels: Of each batch of a loader that shuffles, in order.
        weights: Of model and zoom in the end, all values in a row; None if it was stopped.
    """

    labels: list[list[int]] = field(default_factory=list)
    weights: torch.Tensor | None = None


def script(heading: str) -> str:
    """Return the code below a heading of the page, with the lines that every script begins with."""
    [common] = python_blocks(PAGE.split("\n## ", maxsplit=1)[0])
    sections = {part.split("\n", maxsplit=1)[0]: part for part in PAGE.split("\n## ")[1:]}
    [code] = python_blocks(sections[heading])
    return f"{common}\n{code}"


def run(code: str, folder: Path, *, stop_before: int | None = None) -> Run:
    """Run a script in a folder, and stop it when it asks for this training batch, counted from 0."""
    found = Run()
    names: dict[str, Any] = {"__name__": "__main__"}
    with _inside(folder), _recorded(found.labels, stop_before), contextlib.suppress(StoppedError):
        exec(compile(code, "frameworks.md", "exec"), names)
        modules = [names["model"], names["zoom"]]
        found.weights = torch.cat([p.detach().flatten() for module in modules for p in module.parameters()])
    return found


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _recorded(labels: list[list[int]], stop_before: int | None) -> Iterator[None]:
    """Record the labels of each batch that a shuffling loader delivers, and stop before one of them."""
    advance = EpochIterator.__next__

    def recording(self: EpochIterator) -> Any:
        if not self._chain.options.shuffle:
            return advance(self)
        if len(labels) == stop_before:
            raise StoppedError
        batch = advance(self)
        labels.append((batch["labels"] if isinstance(batch, dict) else batch[1]).tolist())
        return batch

    # Also the batches of a `DataLoader` around a loader's dataset come out of it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EpochIterator, "__next__", recording)
        yield


def flat(batches: Iterable[list[int]]) -> list[int]:
    """Return the labels of all batches as one list."""
    return [label for batch in batches for label in batch]


def check_resumes(
    code: str, new_folder: Callable[[], Path], saved: dict[int, int], *, reads_again: bool = False
) -> None:
    """Check that a script that is stopped in the middle and run again has the batches and weights of one that is not.

    Args:
        code: The script. It trains for two epochs of five batches of eight images of forty.
        new_folder: Makes a folder with the shards.
        saved: Before which batch to stop, and how many batches the script has saved by then; each is tried.
        reads_again: Whether the framework reads the batches of the epoch again that it has had, without training on them.
    """
    whole = run(code, new_folder())
    first, second = whole.labels[:5], whole.labels[5:]
    assert sorted(flat(first)) == sorted(flat(second)) == sorted(k % 10 for k in range(40))
    assert first != second
    assert whole.weights is not None
    for stop_before, kept in saved.items():
        folder = new_folder()
        stopped = run(code, folder, stop_before=stop_before)
        again = run(code, folder)
        assert stopped.labels == whole.labels[:stop_before]
        assert stopped.weights is None
        assert again.labels[-(10 - kept) :] == whole.labels[kept:]
        assert reads_again or len(again.labels) == 10 - kept
        assert again.weights is not None
        assert torch.equal(again.weights, whole.weights)
