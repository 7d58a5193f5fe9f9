"""What the limits of a loader's speed are measured with."""

import pytest

from foveal.tools.bench.ceilings import one_ahead


@pytest.mark.parametrize("count", range(4))
def test_one_ahead(count):
    """Each piece of work is used while the next one is under way, never two; all come in their order."""
    begun: list[int] = []

    def begin(work: int) -> int:
        begun.append(work)
        return work

    seen = [(work, len(begun)) for work in one_ahead(map(begin, range(count)))]
    assert seen == [(work, min(work + 2, count)) for work in range(count)]
