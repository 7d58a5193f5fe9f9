"""Cracks in roads, found on cells of 8 x 8 pixels: at full cost, at a quarter, and finely only where it looks like a crack.

    python docs/examples/adaptive_cracks.py 'roads-*.tar'

The shards hold ``jpg`` and ``crack.png``. One small ResNet is trained three times, from the same weights on the same crops:
its last two stages at a stride of 8 everywhere, at 16 everywhere, and at 8 on that quarter of each image where a 1 x 1
convolution on the stage before sees cracks most. Every fourth image is for testing, whole. Printed are the average
precision over all cells, the best F1, how many nodes are left, and how long the two stages take.
"""

import argparse
import io
import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import max_pool2d

from foveal.sampler import AdaptiveDownsample, AdaptiveResNet, DilatedResNet, saliency_mask
from foveal.shards import Shards

CELL = 8
Pair = tuple[
    Tensor, Tensor
]  # an image (3, height, width), normalised, and its cells (1, rows, cols): 1 for a crack


class CrackNet(nn.Module):
    """Logits for each cell, with only a share of them computed finely."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = AdaptiveResNet((1, 1, 2, 1), width=width, bottleneck=False)
        self.early = nn.Conv2d(2 * width, 1, kernel_size=1)
        self.head = nn.Conv2d(self.backbone.channels, 1, kernel_size=1)

    def forward(self, images: Tensor, keep: float, *, chosen: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, early logits, and the mask: fine where the early logits are highest, or anywhere."""
        fine = self.backbone.fine(images)
        early = self.early(fine)
        where = early.sigmoid() if chosen else torch.rand_like(early)
        mask = saliency_mask(where, (fine.shape[2], fine.shape[3]), keep=keep)
        return self.head(self.backbone.coarsen(fine, mask)), early, mask


def read(urls: Sequence[str]) -> list[Pair]:
    """Return all images that have a crack, cut to whole blocks of two cells."""
    pairs = []
    for sample in Shards(urls):
        crack = np.asarray(Image.open(io.BytesIO(sample.members["crack.png"])).convert("L")) > 127
        if crack.any():
            image = np.asarray(Image.open(io.BytesIO(sample.members["jpg"])).convert("RGB"))
            pairs.append(_as_pair(image, crack))
    return pairs


def _as_pair(image: np.ndarray, crack: np.ndarray) -> Pair:
    height, width = (side // (2 * CELL) * 2 * CELL for side in crack.shape)
    pixels = torch.from_numpy(image[:height, :width].copy()).permute(2, 0, 1).float()
    cells = max_pool2d(torch.from_numpy(crack[None, :height, :width].astype(np.float32)), CELL)
    return (pixels - pixels.mean()) / pixels.std(), cells


def crops(pairs: Sequence[Pair], size: tuple[int, int], batch: int, generator: torch.Generator) -> Pair:
    """Draw crops, each around some crack, half of them mirrored."""
    images, cells = [], []
    for _ in range(batch):
        image, cell = pairs[int(torch.randint(len(pairs), (), generator=generator))]
        cracks = cell[0].nonzero()
        middle = cracks[int(torch.randint(len(cracks), (), generator=generator))]
        mirror = bool(torch.rand((), generator=generator) < 0.5)
        rows, cols = (
            slice(start := max(0, min(int(at) - part // 2, side - part)), start + part)
            for at, part, side in zip(middle, size, cell.shape[1:], strict=True)
        )
        pixel_rows, pixel_cols = (slice(CELL * s.start, CELL * s.stop) for s in (rows, cols))
        pair = image[:, pixel_rows, pixel_cols], cell[:, rows, cols]
        for into, part in zip((images, cells), pair, strict=True):
            into.append(part.flip(2) if mirror else part)
    return torch.stack(images), torch.stack(cells)


def train(
    pairs: Sequence[Pair], keep: float, *, steps: int, width: int, size: tuple[int, int], seed: int
) -> CrackNet:
    """Train with so large a share kept fine; the same start and the same crops each time."""
    torch.manual_seed(seed)
    net, generator = CrackNet(width), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    rare = torch.tensor(5.0)
    for _ in range(steps):
        images, cells = crops(pairs, size, 4, generator)
        logits, early, _ = net(images, keep)
        loss = cross_entropy(logits, cells, pos_weight=rare) + cross_entropy(early, cells, pos_weight=rare)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def evaluate(
    net: CrackNet, pairs: Sequence[Pair], keep: float, *, chosen: bool = True
) -> tuple[float, float]:
    """Return average precision and the best F1 over the cells of all images."""
    torch.manual_seed(0)
    scores = torch.cat([net(image[None], keep, chosen=chosen)[0].flatten() for image, _ in pairs])
    order = scores.argsort(descending=True)
    hits = torch.cat([cells.flatten() for _, cells in pairs])[order].cumsum(0)
    last = torch.cat([scores[order].diff() != 0, torch.tensor([True])])  # equal scores are found together
    found, seen = hits[last], (torch.arange(len(hits)) + 1)[last]
    gained = found.diff(prepend=found.new_zeros(1)) / hits[-1]
    return float((gained * found / seen).sum()), float((2 * found / (seen + hits[-1])).max())


@torch.no_grad()
def cost(net: CrackNet, image: Tensor, keeps: Sequence[float], repeats: int) -> list[tuple[float, float]]:
    """Return the share of nodes, and the time of the last two stages in ms, in turns, for each share that is kept."""
    fine = net.backbone.fine(image[None])
    masks = [net(image[None], keep)[2] for keep in keeps]
    runs = [stages(net, keep) for keep in keeps]
    seconds: list[list[float]] = [[] for _ in keeps]
    for _, (run, mask, times) in itertools.product(
        range(repeats + 1), list(zip(runs, masks, seconds, strict=True))
    ):
        start = time.perf_counter()
        run(fine, mask)
        times.append(time.perf_counter() - start)
    shares = [1 - 0.75 * float(mask.float().mean()) for mask in masks]
    return [
        (share, 1000 * statistics.median(times[1:])) for share, times in zip(shares, seconds, strict=True)
    ]


def stages(net: CrackNet, keep: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the last two stages at their quickest: dense convolutions where all is fine, or nothing."""
    if 0 < keep < 1:
        return AdaptiveDownsample(net.backbone.layer3, net.backbone.layer4)
    stride = 8 if keep else 16
    dense = DilatedResNet.from_weights(net.backbone.state_dict(), output_stride=stride).eval()
    return lambda fine, _: dense.layer4(dense.layer3(fine))


def main() -> None:
    """Train, test, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("urls", nargs="+", help="Shards of road photographs with crack masks.")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument(
        "--crop", type=int, nargs=2, default=(32, 48), help="Rows and columns of a crop, in cells."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    pairs = read(options.urls)
    if len(pairs) < 2:
        parser.error(f"the shards must hold at least two photographs with a crack, got {len(pairs)}")
    held, rest = pairs[::4], [pair for number, pair in enumerate(pairs) if number % 4]
    rows = [
        ("fine", 1.0, True),
        ("coarse", 0.0, True),
        ("adaptive", 0.25, True),
        ("adaptive, anywhere", 0.25, False),
    ]
    keeps = [keep for _, keep, _ in rows]
    nets: dict[float, CrackNet] = {}
    for keep in dict.fromkeys(keeps):
        start = time.perf_counter()
        settings = {"steps": options.steps, "width": options.width, "size": tuple(options.crop)}
        nets[keep] = train(rest, keep, **settings, seed=options.seed)
        print(f"trained with {keep:.0%} fine in {time.perf_counter() - start:.0f} s", flush=True)
    costs = cost(nets[0.25], held[0][0], keeps, options.repeats)
    print(f"{len(rest)} images to train, {len(held)} to test\n{'':20}     AP     F1  nodes     ms")
    for (name, keep, chosen), (share, ms) in zip(rows, costs, strict=True):
        precision, f1 = evaluate(nets[keep], held, keep, chosen=chosen)
        print(f"{name:20} {precision:6.3f} {f1:6.3f} {share:6.0%} {ms:6.1f}")


if __name__ == "__main__":
    main()
