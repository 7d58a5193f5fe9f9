#!/usr/bin/env bash
# torchmetrics 1.9.0: GeneralizedDiceScore gives the same predictions another score if they come in other batches or in another order.
#
# Expected: one score per image, and their mean, however the images are split into batches. The documented formula takes the weight of a
# class, 1 / (its pixels in the target)^2, from the same image. DiceScore and MeanIoU, which average over images, too, keep to that.
# Seen: a class that an image does not have has an infinite weight, which is replaced by the largest weight of a class in the batch: the
# score of an image depends on which images are beside it. Weights and images are mixed up as well, as the replacements are listed class by
# class, and taken image by image, so that the order within a batch counts. A batch of one image replaces infinity by 0. All this matters
# if a class is predicted for some pixels of an image that does not have it. With weight_type="linear" nothing is replaced.
# What to do: weight_type="linear", DiceScore, or batches of one image, in which what is predicted of missing classes has no weight.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet torchmetrics==1.9.0 numpy==2.4.6

cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics.functional.segmentation import generalized_dice_score
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

CLASSES, IMAGES, SIZE = 4, 12, 32
INDEX = {"num_classes": CLASSES, "input_format": "index"}
generator = torch.Generator().manual_seed(0)
target = torch.randint(0, 2, (IMAGES, SIZE, SIZE), generator=generator)
target[:3, :8, :8] = 2  # three images have a small object, two others a large one
target[5:7, :20, :20] = 3
noise = torch.randint(0, CLASSES, target.shape, generator=generator)
predicted = torch.where(torch.rand(target.shape, generator=generator) < 0.9, target, noise)


def score(metric, batch_size, order):
    for batch in order.split(batch_size):
        metric.update(predicted[batch], target[batch])
    return round(metric.compute().item(), 3)


def spread(name, make):
    """How far the scores of the same images are apart: by the size of the batches, by the order in one batch of all images."""
    sizes = {size: score(make(), size, torch.arange(IMAGES)) for size in (1, 2, 4, IMAGES)}
    orders = [score(make(), IMAGES, torch.randperm(IMAGES, generator=generator)) for _ in range(5)]
    print(f"{name}: by size of the batches {sizes}, all at once in five orders {orders}")
    return max(sizes.values()) - min(sizes.values()), max(orders) - min(orders)


print("torchmetrics", torchmetrics.__version__)
square = spread("GeneralizedDiceScore", lambda: GeneralizedDiceScore(**INDEX))
simple = spread("GeneralizedDiceScore, simple", lambda: GeneralizedDiceScore(weight_type="simple", **INDEX))
linear = spread("GeneralizedDiceScore, linear", lambda: GeneralizedDiceScore(weight_type="linear", **INDEX))
dice = spread("DiceScore", lambda: DiceScore(**INDEX))
iou = spread("MeanIoU", lambda: MeanIoU(**INDEX))

last = [generalized_dice_score(predicted[first:], target[first:], **INDEX)[-1].item() for first in (11, 10, 8, 0)]
print("score of the last image, alone and after 1, 3 and 11 others:", [round(value, 3) for value in last])
as_stated = min(square) > 0.05 and min(simple) > 0.01 and max(linear + dice + iou) < 0.002 and max(last) - min(last) > 0.02
sys.exit(not as_stated)
PY
