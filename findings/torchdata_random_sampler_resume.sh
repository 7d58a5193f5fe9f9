#!/usr/bin/env bash
# torchdata 0.11.0: an epoch that StatefulDataLoader resumes reads samples twice and leaves others out if it has torch's RandomSampler.
#
# Expected: what the tutorial of StatefulDataLoader and its README say: torch's RandomSampler and BatchSampler need no state of their own,
# as "they are patched when you import torchdata.stateful_dataloader". A resumed epoch then yields exactly what the first part has not.
# Seen: nothing is patched. The loader draws a new permutation and skips as many batches as the first part had, without a warning: if an
# epoch is interrupted at its half, a quarter of the samples comes twice and a quarter never, even if the generator has a fixed seed.
# Only in the first epoch does such a seed help. With shuffle=True, for which the loader makes a sampler of its own, nothing is lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet torchdata==0.11.0 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import itertools
import sys
from importlib.metadata import version

import torch
from torch.utils.data import BatchSampler, RandomSampler
from torchdata.stateful_dataloader import StatefulDataLoader

SAMPLES = list(range(1000))


def random_sampler():
    return RandomSampler(SAMPLES, generator=torch.Generator().manual_seed(0))


def loader(kind):
    if kind == "sampler=RandomSampler":
        return StatefulDataLoader(SAMPLES, batch_size=10, sampler=random_sampler())
    if kind == "batch_sampler=BatchSampler":
        return StatefulDataLoader(SAMPLES, batch_sampler=BatchSampler(random_sampler(), 10, drop_last=False))
    return StatefulDataLoader(SAMPLES, batch_size=10, shuffle=True)


def lost_and_doubled(kind, epoch):
    first = loader(kind)
    for _ in range(epoch):
        assert sorted(torch.cat(list(first)).tolist()) == SAMPLES
    seen = torch.cat(list(itertools.islice(first, 50))).tolist()
    second = loader(kind)
    second.load_state_dict(first.state_dict())
    seen += torch.cat(list(second)).tolist()
    assert len(seen) == len(SAMPLES)
    return len(SAMPLES) - len(set(seen)), sum(seen.count(k) == 2 for k in SAMPLES)


print("torchdata", version("torchdata"), "torch", torch.__version__)
found = {}
for kind in ("sampler=RandomSampler", "batch_sampler=BatchSampler", "shuffle=True"):
    for epoch in range(2):
        found[kind, epoch] = lost, doubled = lost_and_doubled(kind, epoch)
        print(f"{kind}, epoch {epoch} of {len(SAMPLES)} samples, resumed at its half: {lost} lost, {doubled} doubled")
whole = [found.pop(("shuffle=True", epoch)) == (0, 0) for epoch in range(2)]
sys.exit(not (all(whole) and all((min(counts) > 200) == (epoch == 1) for (_, epoch), counts in found.items())))
PY
