#!/usr/bin/env bash
# litdata 0.2.76: an epoch of a CombinedStreamingDataset that is resumed with several workers reads samples twice and leaves others out.
#
# Expected: what its README says, mid-epoch resume, for a CombinedStreamingDataset "only with the same world_size, num_workers, and
# batch_size", which are the same here: the second part is what the uninterrupted epoch has from there on.
# Seen: the state has one sum per dataset over all workers. From it each dataset reckons how far each worker has read as if its own samples
# had been dealt in whole batches, but batches mix the datasets. A worker starts up to a batch too early in one dataset and another as much
# too late, without a warning, so that samples come twice and as many never. With batches of one sample, or without workers, nothing is
# lost, nor is it with a StreamingDataset alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 boto3 filelock lightning-utilities==0.15.3 obstore requests tifffile
"$folder/venv/bin/pip" install --quiet --no-deps litdata==0.2.76 # what is left out, torchvision, is not needed here

cd "$folder"
cat > write.py <<'PY'
import litdata


def sample(index):
    return {"index": index}


if __name__ == "__main__":
    for name, start in (("cats", 0), ("dogs", 1000)):
        litdata.optimize(sample, list(range(start, start + 1000)), name, chunk_size=50, num_workers=1, verbose=False)
PY
cat > resume.py <<'PY'
import itertools
import sys
from collections import Counter

import litdata

BATCH = 32


def loader(workers, batch, combined):
    datasets = [litdata.StreamingDataset(name, shuffle=True, seed=1) for name in ("cats", "dogs")]
    dataset = litdata.CombinedStreamingDataset(datasets, seed=1) if combined else datasets[0]
    return litdata.StreamingDataLoader(dataset, batch_size=batch, num_workers=workers)


def lost_and_doubled(workers, batch, batches, combined):
    def indices(some):
        return [index for one in some for index in one["index"].tolist()]

    whole = indices(loader(workers, batch, combined))
    assert sorted(whole) == list(range(2000 if combined else 1000))
    first = loader(workers, batch, combined)
    seen = indices(itertools.islice(first, batches))
    second = loader(workers, batch, combined)
    second.load_state_dict(first.state_dict())
    seen += indices(second)
    counts = Counter(seen)
    return len(set(whole) - set(seen)), sum(count > 1 for count in counts.values()), seen == whole


if __name__ == "__main__":
    print("litdata", litdata.__version__)
    found = {}
    for workers, batch, batches, combined in (
        (2, BATCH, 16, True),
        (2, BATCH, 30, True),
        (2, BATCH, 45, True),
        (2, 1, 500, True),
        (0, BATCH, 30, True),
        (2, BATCH, 20, False),
    ):
        lost, doubled, same = found[workers, batch, batches, combined] = lost_and_doubled(workers, batch, batches, combined)
        kind = "two datasets combined" if combined else "one dataset"
        print(f"{kind}, {workers} workers, batches of {batch}, resumed after {batches}: {lost} lost, {doubled} doubled, same order: {same}")
    wrong = [lost > 0 and doubled > 0 for lost, doubled, _ in list(found.values())[:3]]
    right = [result == (0, 0, True) for result in list(found.values())[3:]]
    sys.exit(not (all(wrong) and all(right)))
PY
venv/bin/python write.py > /dev/null
venv/bin/python resume.py
