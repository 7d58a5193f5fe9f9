#!/usr/bin/env bash
# webdataset 1.0.2: WebDataset(shardshuffle=100) reads the shards in the same order in each epoch.
#
# Expected: a new order in each epoch, as 0.2.100 had it, which seeded the shuffle only if a seed was given, and as DataPipeline still has
# with wds.shuffle. webdataset's FAQ.md (issue 350) shuffles by shardshuffle=100 and .shuffle(...); of detshuffle=True, its ISSUES.md says
# that each epoch has a new random order.
# Seen: where no seed is given, the dataset draws one when it is made, and shuffles the shards with a fresh generator of that seed in each
# epoch: the order is random, but always the same. Neither more workers nor persistent ones change that. With detshuffle=True it changes,
# but not if a DataLoader starts its workers anew for each epoch, as it does by default: each begins to count at epoch 0. The buffer of
# .shuffle(...) mixes what stands nearby only: a sample comes at nearly the same place of every epoch. A training whose epochs end after
# a number of steps, before the data do, reads the same shards in each of them and never the others.
# What to do: detshuffle=True with persistent_workers=True; or a DataPipeline of SimpleShardList, split_by_worker, shuffle(100) and
# tarfile_to_samples; or resampled=True, which draws shards with replacement. webdataset's pull request 502, open when this was written,
# proposes to draw a new order in each epoch again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet webdataset==1.0.2 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import itertools
import sys
import warnings
from importlib.metadata import version

import numpy as np
import webdataset as wds
from torch.utils.data import DataLoader

SHARDS, SAMPLES, EPOCHS = 100, 20, 4
warnings.filterwarnings("ignore", category=UserWarning)
for shard in range(SHARDS):
    with wds.TarWriter(f"{shard:03d}.tar") as tar:
        for k in range(SAMPLES):
            tar.write({"__key__": f"{shard:03d}_{k:02d}", "id": str(shard * SAMPLES + k)})
URLS = "{000..099}.tar"


def by_pipeline():
    return wds.DataPipeline(wds.SimpleShardList(URLS), wds.split_by_worker, wds.shuffle(100), wds.tarfile_to_samples())


def ids(loader):
    read = [int(sample["id"]) for sample in loader]
    assert sorted(read) == list(range(SHARDS * SAMPLES))  # each sample once
    return read


def orders(dataset, **loading):
    """How many different orders of shards there are in four epochs."""
    loader = DataLoader(dataset, batch_size=None, **loading)
    return len({tuple(k // SAMPLES for k in ids(loader)) for _ in range(EPOCHS)})


def place_correlation(dataset):
    """How well the place of a sample in one epoch tells its place in the next: 1 exactly, 0 not at all."""
    first, second = (np.argsort(ids(DataLoader(dataset, batch_size=None))) for _ in range(2))
    return float(np.corrcoef(first, second)[0, 1])


def shards_of_starts(dataset):
    """How many shards are read in four epochs that end after a quarter of the samples."""
    loader = DataLoader(dataset, batch_size=None)
    starts = (itertools.islice(loader, SHARDS * SAMPLES // 4) for _ in range(EPOCHS))
    return len({int(sample["id"]) // SAMPLES for start in starts for sample in start})


NEW, KEPT = {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}
found = {
    "shardshuffle, no workers": orders(wds.WebDataset(URLS, shardshuffle=100)),
    "shardshuffle, new workers": orders(wds.WebDataset(URLS, shardshuffle=100), **NEW),
    "shardshuffle, persistent workers": orders(wds.WebDataset(URLS, shardshuffle=100), **KEPT),
    "detshuffle, no workers": orders(wds.WebDataset(URLS, shardshuffle=100, detshuffle=True)),
    "detshuffle, new workers": orders(wds.WebDataset(URLS, shardshuffle=100, detshuffle=True), **NEW),
    "detshuffle, persistent workers": orders(wds.WebDataset(URLS, shardshuffle=100, detshuffle=True), **KEPT),
    "DataPipeline, no workers": orders(by_pipeline()),
    "DataPipeline, new workers": orders(by_pipeline(), **NEW),
}
print("webdataset", version("webdataset"), "- different orders of shards in", EPOCHS, "epochs")
for name, count in found.items():
    print(f"{name}: {count}")
kept = place_correlation(wds.WebDataset(URLS, shardshuffle=100).shuffle(100))
drawn = place_correlation(by_pipeline().compose(wds.shuffle(100)))
print(f"places of samples in two epochs, with a buffer of 100: correlation {kept:.2f} (WebDataset), {drawn:.2f} (DataPipeline)")
few, many = shards_of_starts(wds.WebDataset(URLS, shardshuffle=100)), shards_of_starts(by_pipeline())
print(f"shards read in {EPOCHS} epochs of a quarter of the {SHARDS} shards: {few} (WebDataset), {many} (DataPipeline)")
as_stated = list(found.values()) == [1, 1, 1, 4, 1, 4, 4, 4] and kept > 0.9 and abs(drawn) < 0.6 and few == 25 and many > 40
sys.exit(not as_stated)
PY
