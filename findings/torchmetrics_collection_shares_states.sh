#!/usr/bin/env bash
# torchmetrics 1.9.0: MetricCollection gives metrics with different arguments one score if the first batch does not tell them apart.
#
# Expected: each metric of a collection gives what it gives alone. The documentation says of `compute_groups`, which is on by default, that
# metrics share a state if they differ in their compute step only, such as accuracy, precision and recall.
# Seen: they share one if their counts are equal after the first update. Thresholds and `ignore_index` belong to the update, but show in the
# counts only if a batch has a score between the thresholds or a pixel to ignore. If the first has none, only the first metric of the
# group, by name, counts the later batches, and the others compute from its counts, without a warning. The same batches in another order
# give other scores. It is no rare case: the first batch of a sorted validation set, or a batch of one image without background.
# To do: `compute_groups=False`, or a list of the groups, whenever two metrics of a collection differ in more than their class.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet torchmetrics==1.9.0 numpy==2.4.6

cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys

import numpy as np
import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy, BinaryPrecision, BinaryRecall, MulticlassJaccardIndex

print("torchmetrics", torchmetrics.__version__)
rng = np.random.default_rng(0)

# Sure of the first eight samples, less so of the others
labels = [rng.integers(0, 2, 8) for _ in range(20)]
scores = [np.where(labels[0], 0.97, 0.02)] + [np.clip(0.25 + 0.5 * batch + rng.normal(0, 0.2, 8), 0, 1) for batch in labels[1:]]
binary = list(zip(scores, labels))
all_scores, all_labels = np.concatenate(scores), np.concatenate(labels).astype(bool)

# Class 0 is background; the first crop lies within an object
truth = [rng.integers(1 if index == 0 else 0, 3, (1, 32, 32)) for index in range(20)]
predicted = [np.where(rng.random(mask.shape) < 0.2, (mask + 1) % 3 if index else 3 - mask, mask) for index, mask in enumerate(truth)]
maps = list(zip(predicted, truth))


def overlap(keep, classes):
    """Mean intersection over union of the classes in what is kept."""
    masks, found = np.concatenate(truth)[keep], np.concatenate(predicted)[keep]
    return np.mean([((masks == k) & (found == k)).sum() / ((masks == k) | (found == k)).sum() for k in classes])


taken = all_scores > 0.9
everywhere, objects = np.full((20, 32, 32), True), np.concatenate(truth) != 0
cases = {
    "accuracy at two thresholds": (
        {"over 50 %": BinaryAccuracy(threshold=0.5), "over 90 %": BinaryAccuracy(threshold=0.9)},
        binary,
        {"over 50 %": ((all_scores > 0.5) == all_labels).mean(), "over 90 %": (taken == all_labels).mean()},
    ),
    "precision at 0.5, recall at 0.9": (
        {"precision": BinaryPrecision(threshold=0.5), "recall": BinaryRecall(threshold=0.9)},
        binary,
        {"precision": all_labels[all_scores > 0.5].mean(), "recall": taken[all_labels].mean()},
    ),
    "IoU with and without background": (
        {"all": MulticlassJaccardIndex(3), "objects": MulticlassJaccardIndex(3, ignore_index=0)},
        maps,
        {"all": overlap(everywhere, range(3)), "objects": overlap(objects, (1, 2))},
    ),
}


def scored(metrics, batches, **options):
    collection = MetricCollection({name: metric.clone() for name, metric in metrics.items()}, **options)
    for found, true in batches:
        collection.update(torch.tensor(found), torch.tensor(true))
    return {name: float(value) for name, value in collection.compute().items()}


def same(one, other):
    return all(abs(one[name] - other[name]) < 1e-5 for name in one)


as_stated = []
for title, (metrics, batches, by_numpy) in cases.items():
    alone = {name: scored({name: metric}, batches)[name] for name, metric in metrics.items()}
    results = {
        "NumPy": {name: float(value) for name, value in by_numpy.items()},
        "each alone": alone,
        "compute_groups=False": scored(metrics, batches, compute_groups=False),
        "by default": scored(metrics, batches),
        "by default, the batches in reverse": scored(metrics, batches[::-1]),
    }
    print(title)
    for name, values in results.items():
        print(f"  {name}: " + ", ".join(f"{metric} {value:.4f}" for metric, value in values.items()))
    wrong = [name for name, values in results.items() if not same(values, results["NumPy"])]
    as_stated.append(wrong == ["by default"])
sys.exit(not all(as_stated))
PY
