"""The scale that a layer learns follows the scale of its task: digits, and the same digits twice as large.

    python docs/examples/learned_scale.py DIGITS

DIGITS is a folder with the four files of MNIST as they are published. A layer of Gaussian derivatives, two 1x1 layers and
a mean over the image learn to tell ten digits apart; nothing but the first layer sees more than a pixel. The layer
begins at the same sigma for both sizes.
"""

import argparse
import gzip
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from foveal.sampler import NJetConv2d

SIDES = (20, 40)  # pixels of a digit's side, of 28 as published
STEPS, BATCH = 800, 32


def main() -> None:
    """Learn both sizes from two starts each, and print where the scales went."""
    parser = argparse.ArgumentParser(
        description="The scale that a layer learns follows the scale of its task."
    )
    parser.add_argument("digits", type=Path, help="folder of MNIST's four gz files")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    print("start  seed  " + "  ".join(f"sigma at {side} px (accuracy)" for side in SIDES) + "  ratio")
    for start in (1.0, 2.0):
        for seed in range(arguments.seeds):
            found = [learn(arguments.digits, side, start, seed, arguments.steps) for side in SIDES]
            learned = "  ".join(f"{sigma:14.2f} ({accuracy:8.3f})" for sigma, accuracy in found)
            print(f"{start:5.1f}  {seed:4}  {learned}  {found[1][0] / found[0][0]:5.2f}", flush=True)


def learn(folder: Path, side: int, start: float, seed: int, steps: int) -> tuple[float, float]:
    """Return the sigma learned on digits of this many pixels, and the accuracy on 2000 digits held out."""
    torch.manual_seed(seed)
    images, labels = load(folder, "train", 10000, side)
    net = network(start)
    scale = net[0].log2_sigma
    rest = [weight for weight in net.parameters() if weight is not scale]
    optimiser = torch.optim.Adam([{"params": rest, "lr": 1e-2}, {"params": [scale], "lr": 3e-2}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (BATCH,))
        optimiser.zero_grad()
        cross_entropy(net(images[chosen]), labels[chosen]).backward()
        optimiser.step()
        schedule.step()
    return float(net[0].sigma.detach()), accuracy(net, *load(folder, "t10k", 2000, side))


def network(sigma: float) -> nn.Sequential:
    """One layer with a scale, and behind it nothing that has one."""
    return nn.Sequential(
        NJetConv2d(1, 16, sigma=sigma),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


@torch.no_grad()
def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of digits that are told right."""
    told = torch.cat([net(part).argmax(dim=1) for part in images.split(500)])
    return float((told == labels).float().mean())


def load(folder: Path, part: str, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Return the first digits of a part in [0, 1], resized to (count, 1, side, side), and their labels."""
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images = torch.frombuffer(bytearray(pixels[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)[:count] / 255
    resized = interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)
    return resized, torch.frombuffer(bytearray(labels[8:]), dtype=torch.uint8)[:count].long()


if __name__ == "__main__":
    main()
