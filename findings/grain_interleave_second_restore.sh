#!/usr/bin/env bash
# grain 0.2.18: an iterator of InterleaveIterDataset that is set to the same state twice loses samples the second time and doubles others.
#
# Expected: what its documentation says of get_state and set_state, a state is a checkpoint to which an iterator is set: it then gives what
# followed when the state was taken, as often as it is set. A loop may so return to where it began or to its last good step.
# Seen: set_state keeps the state's list of the shards in use as the iterator's own, and going on writes into it. The caller's state
# thereby changes while the iterator runs, and the next set_state, of the same iterator or of a new one, sets it to a mixture of two
# places, without an error. A state that is copied or written to a file first is fine, and so are the other datasets below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet grain==0.2.18 numpy==2.4.6

cd "$folder"
cat > restore.py <<'PY'
import copy
import logging
import sys
from collections import Counter

logging.disable(logging.WARNING)  # jax is not needed
import grain

SIZES, READ, TIMES = (5, 8, 11, 14, 17), 7, 3


def shards():
    return [grain.MapDataset.range(100 * shard, 100 * shard + size).to_iter_dataset() for shard, size in enumerate(SIZES)]


def samples():
    return grain.MapDataset.range(sum(SIZES)).shuffle(seed=1).to_iter_dataset()


datasets = {
    "InterleaveIterDataset": lambda: grain.experimental.InterleaveIterDataset(shards(), cycle_length=2),
    "InterleaveIterDataset, batches of 3": lambda: grain.experimental.InterleaveIterDataset(shards(), cycle_length=2).batch(3),
    "IterDataset.mix": lambda: grain.IterDataset.mix(shards()[1:3], weights=[0.5, 0.5]),
    "WindowShuffleIterDataset": lambda: grain.experimental.WindowShuffleIterDataset(samples(), window_size=8, seed=2),
    "batches of 3": lambda: samples().batch(3),
}


def flat(batches):
    return [int(sample) for batch in batches for sample in getattr(batch, "flat", [batch])]


def restore(make, copied):
    """How many samples each restored run lost and doubled, or None where it gave what the uninterrupted one did."""
    iterator = iter(make())
    for _ in range(READ):
        next(iterator)
    state = copy.deepcopy(iterator.get_state())
    expected = flat(iterator)
    results = []
    for _ in range(TIMES):
        iterator = iter(make())
        iterator.set_state(copy.deepcopy(state) if copied else state)
        found = flat(iterator)
        lost, doubled = (sum((a - b).values()) for a, b in ((Counter(expected), Counter(found)), (Counter(found), Counter(expected))))
        results.append(None if found == expected else (lost, doubled))
    return results


print("grain", grain.__version__, "- runs from one state, one after the other")
kept = {}
for name, make in datasets.items():
    for copied in (False, True):
        kept[name, copied] = restore(make, copied)
        words = ["right" if run is None else f"{run[0]} lost and {run[1]} doubled" for run in kept[name, copied]]
        print(f"{name}, the state {'copied' if copied else 'as it is'}: {', '.join(words)}")
wrong = [run for (name, copied), runs in kept.items() for run in runs[1:] if name.startswith("Interleave") and not copied]
right = [run for (name, copied), runs in kept.items() for run in runs if not name.startswith("Interleave") or copied]
first = [runs[0] for runs in kept.values()]
sys.exit(not (all(run is not None and min(run) > 0 for run in wrong) and not any(right) and not any(first)))
PY
venv/bin/python restore.py
