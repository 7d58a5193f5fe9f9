"""The positions that each rank takes from the order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.pipeline.epoch import BatchPlan
from tests.checks import unhooked

sizes = st.integers(1, 7)


@given(samples=st.integers(0, 200), batch_size=sizes, world_size=sizes)
def test_every_position_once_over_all_ranks(samples, batch_size, world_size):
    """With partial batches, all ranks together have each position once, and all have the same number of batches."""
    plans = [BatchPlan(samples, batch_size, rank, world_size) for rank in range(world_size)]
    positions = [position for plan in plans for batch in plan for position in batch]

    assert sorted(positions) == list(range(samples))
    assert len({len(plan) for plan in plans}) == 1
    assert all(len(list(plan)) == len(plan) for plan in plans)
    assert all(len(batch) <= batch_size for plan in plans for batch in plan)


@given(samples=st.integers(0, 200), batch_size=sizes, world_size=sizes)
def test_the_order_is_that_of_one_rank(samples, batch_size, world_size):
    """Joined batch by batch, the ranks' parts are the order of a single rank."""
    plans = [BatchPlan(samples, batch_size, rank, world_size) for rank in range(world_size)]
    walked = [position for step in zip(*plans, strict=True) for batch in step for position in batch]

    assert walked == list(range(samples))


@given(samples=st.integers(0, 200), batch_size=sizes, world_size=sizes)
def test_drop_keeps_full_batches_only(samples, batch_size, world_size):
    """With "drop" every batch is full, and less than one global batch is left out."""
    plans = [BatchPlan(samples, batch_size, rank, world_size, "drop") for rank in range(world_size)]

    assert {len(batch) for plan in plans for batch in plan} <= {batch_size}
    assert 0 <= samples - sum(len(batch) for plan in plans for batch in plan) < batch_size * world_size


@given(samples=st.integers(0, 200), batch_size=sizes, world_size=sizes)
def test_pad_fills_every_batch(samples, batch_size, world_size):
    """With "pad" every batch is full, each sample comes once, and positions beyond the last sample fill the rest."""
    plans = [BatchPlan(samples, batch_size, rank, world_size, "pad") for rank in range(world_size)]
    positions = [position for plan in plans for batch in plan for position in batch]

    assert {len(batch) for plan in plans for batch in plan} <= {batch_size}
    assert sorted(position for position in positions if position < samples) == list(range(samples))
    assert len(positions) - samples < batch_size * world_size


@given(samples=st.integers(1, 200), batch_size=sizes, world_size=sizes)
def test_shares_of_a_partial_batch_differ_by_one_at_most(samples, batch_size, world_size):
    """The ranks' parts of a partial batch differ by at most one sample."""
    last = [
        len(
            BatchPlan(samples, batch_size, rank, world_size)[
                -1 + len(BatchPlan(samples, batch_size, rank, world_size))
            ]
        )
        for rank in range(world_size)
    ]

    assert max(last) - min(last) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 0), "batch_size must be at least 1, got 0."),
        ((10, 2, 2, 2), "rank must be in [0, 2), the world size, got 2."),
        ((10, 2, -1, 2), "rank must be in [0, 2), the world size, got -1."),
        ((10, 2, 0, 0), "world_size must be at least 1, got 0."),
        ((10, 2, 0, 1, "maybe"), "last_batch must be one of partial, drop, pad, got 'maybe'."),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    """Each invalid argument is named with its value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        BatchPlan(*arguments)


@pytest.mark.parametrize(("name", "arguments"), [("rank", (0.5, 2)), ("world_size", (0, 2.0))])
def test_ranks_are_whole_numbers(name, arguments):
    """A rank or a number of ranks that is no whole number is named with its value."""
    value = arguments[name == "world_size"]
    with (
        unhooked(),
        pytest.raises(TypeError, match=re.escape(f"{name} must be a whole number, got {value!r}.")),
    ):
        BatchPlan(10, 2, *arguments)


def test_an_index_out_of_range():
    """An index out of range raises IndexError."""
    with pytest.raises(IndexError, match=re.escape("index must be in [0, 5), got 5.")):
        BatchPlan(10, 2)[5]


@given(
    samples=st.integers(0, 200),
    batch_size=sizes,
    world_size=sizes,
    last_batch=st.sampled_from(["partial", "drop", "pad"]),
    data=st.data(),
)
def test_own_samples_is_what_a_walk_counts(samples, batch_size, world_size, last_batch, data):
    """own_samples equals the count of a full iteration."""
    rank = data.draw(st.integers(0, world_size - 1))
    plan = BatchPlan(samples, batch_size, rank, world_size, last_batch)

    assert plan.own_samples == sum(map(len, plan))
