"""A digit of 28 pixels in a scene of a megapixel: which one is it?

Scenes are 1024 x 1024 pixels: an uneven ground, coloured strokes as wide as a digit's, and one MNIST digit anywhere. The
label is all that there is to learn from: nothing says where. Two networks of one kind learn the same scenes:

* one looks at four patches of 80 x 80, of a `PatchSampler` whose scorer learns through them,
* one at the whole scene, resized evenly to as many pixels, 160 x 160.

As usual, neither begins with random weights: each has first seen drawn examples of digits and strokes at its own scale,
as many as the other. The scorer begins with random weights, and learns from labels of whole scenes alone.

    python docs/examples/find_digit.py MNIST_FOLDER          # the four idx.gz files
"""

import argparse
import gzip
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from foveal.pipeline import ZoomLoader
from foveal.sampler import PatchMax, PatchSampler, UniformSampler, saliency_entropy
from foveal.shards import ShardWriter

SCENE, STROKES, DIGIT = 1024, 15, 28
K, PATCH = 4, 80
EVEN = 160  # its square is K * PATCH * PATCH

Digits = tuple[np.ndarray, np.ndarray]  # (n, 28, 28) uint8, (n,)
Draw = Callable[[np.random.Generator, list[Image.Image], np.ndarray], Tensor]


def read_mnist(folder: Path, part: str) -> Digits:
    """Return images and labels."""
    images, labels = (
        np.frombuffer(gzip.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=n)
        for kind, n in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return images.reshape(-1, DIGIT, DIGIT), labels


def draw_ground(rng: np.random.Generator) -> Image.Image:
    """Return a scene without a digit."""
    coarse = Image.fromarray(rng.integers(30, 90, (16, 16, 3), dtype=np.uint8))
    scene = coarse.resize((SCENE, SCENE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(scene)
    starts, ways = rng.uniform(0, SCENE, (STROKES, 2)), rng.uniform(-60, 60, (STROKES, 2))
    for start, end in zip(starts.tolist(), (starts + ways).tolist(), strict=True):
        pen.line([*start, *end], fill=tuple(rng.integers(90, 256, 3).tolist()), width=3)
    return scene


def put(rng: np.random.Generator, digit: np.ndarray, image: Image.Image) -> tuple[int, int]:
    """Draw a digit in white somewhere, and return (x, y) of its corner."""
    x, y = rng.integers(0, image.width - DIGIT, 2).tolist()
    image.paste((255, 255, 255), (x, y), Image.fromarray(digit))
    return x, y


def write_scenes(path: Path, digits: Digits, seed: int) -> str:
    """Write a scene for each digit to a shard."""
    rng = np.random.default_rng(seed)
    with ShardWriter(path) as writer:
        for k, (digit, label) in enumerate(zip(*digits, strict=True)):
            scene = draw_ground(rng)
            x, y = put(rng, digit, scene)
            jpeg = io.BytesIO()
            scene.save(jpeg, "JPEG", quality=90)
            where = {"middle": [x + DIGIT / 2, y + DIGIT / 2]}
            writer.write({"__key__": f"{k:05d}", "jpg": jpeg.getvalue(), "cls": int(label), "json": where})
    return str(path)


class Reader(nn.Module):
    """(batch, k, 3, side, side) or (batch, 3, side, side) to logits: one network for each patch, the largest features.

    Where digits are small, it begins with a ``first_stride`` of 1, not to lose them at once.
    """

    def __init__(self, first_stride: int) -> None:
        super().__init__()
        widths = ((3, 16, first_stride), (16, 32, 2), (32, 64, 2), (64, 64, 1))
        layers = [_block(*width) for width in widths]
        self.features = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.pool, self.head = PatchMax(), nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of the ten digits."""
        bags = images if images.ndim == 5 else images[:, None]
        features = self.features(bags.flatten(0, 1))
        logits: Tensor = self.head(self.pool(features.unflatten(0, bags.shape[:2])))
        return logits


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(4, outputs), nn.ReLU())


def draw_patches(rng: np.random.Generator, grounds: list[Image.Image], digits: np.ndarray) -> Tensor:
    """Return a bag of patches for each digit: one has it, the others have not."""
    bags = []
    for digit in digits:
        crops = [_busy_crop(rng, grounds[rng.integers(len(grounds))]) for _ in range(K)]
        put(rng, digit, crops[rng.integers(K)])
        bags.append(np.stack([np.asarray(crop) for crop in crops]))
    return torch.from_numpy(np.stack(bags)).permute(0, 1, 4, 2, 3).float() / 255


def _busy_crop(rng: np.random.Generator, ground: Image.Image) -> Image.Image:
    """Return the brightest of four: a scorer, too, prefers what is not empty."""
    corners = rng.integers(0, SCENE - PATCH, (4, 2)).tolist()
    crops = [ground.crop((x, y, x + PATCH, y + PATCH)) for x, y in corners]
    return max(crops, key=lambda crop: crop.getextrema()[0][1])


def draw_even(rng: np.random.Generator, grounds: list[Image.Image], digits: np.ndarray) -> Tensor:
    """Return a scene for each digit, resized evenly."""
    scenes = [grounds[rng.integers(len(grounds))].copy() for _ in digits]
    for scene, digit in zip(scenes, digits, strict=True):
        put(rng, digit, scene)
    even: Tensor = UniformSampler(EVEN)([torch.from_numpy(np.array(scene)) for scene in scenes]).images
    return even


def pretrain(reader: Reader, digits: Digits, draw: Draw, batch: int = 32) -> None:
    """Show drawn examples at the reader's scale, each once."""
    rng = np.random.default_rng(2)
    grounds = [draw_ground(rng) for _ in range(64)]
    optimizer = torch.optim.AdamW(reader.parameters(), lr=3e-3)
    for first in range(0, len(digits[0]), batch):
        part = slice(first, first + batch)
        loss = cross_entropy(
            reader(draw(rng, grounds, digits[0][part])), torch.tensor(digits[1][part].tolist())
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def evaluate(reader: nn.Module, zoom: nn.Module, test: str) -> str:
    """Return the share of digits that were read, and of those whose middle lies in a patch."""
    fields = ("image", "cls", "json", "__grid__")
    zoom.eval()
    right, found, count = 0, 0, 0
    with torch.no_grad(), ZoomLoader(test, zoom, batch_size=25, fields=fields, num_threads=1) as loader:
        for images, labels, where, grid in loader:
            right += int((reader(images).argmax(1) == labels).sum())
            count += len(labels)
            if grid.ndim == 5:
                digits = torch.tensor([each["middle"] for each in where])[:, None]
                patches = (grid.mean((2, 3)) + 1) / 2 * SCENE
                found += int(((patches - digits).abs().amax(2) < PATCH / 2).any(1).sum())
    return f"{right / count:.1%} read" + (f", {found / count:.1%} found" if found else "")


def train(reader: Reader, zoom: nn.Module, shards: str, test: str, epochs: int) -> None:
    """Learn from the labels of whole scenes, and print what became of it after each epoch."""
    start = time.perf_counter()
    groups = [{"params": [*reader.parameters()], "lr": 5e-4}]
    groups += [{"params": scorer, "lr": 1e-3}] if (scorer := [*zoom.parameters()]) else []
    optimizer = torch.optim.AdamW(groups)
    fields = ("image", "cls", "__saliency__")
    print(f"  before: {evaluate(reader, zoom, test)}", flush=True)
    with ZoomLoader(shards, zoom, batch_size=16, fields=fields, shuffle=True, num_threads=1) as loader:
        for epoch in range(epochs):
            zoom.train()
            for images, labels, saliency in loader:
                loss = cross_entropy(reader(images), labels)
                if scorer:
                    loss = loss - 0.01 * saliency_entropy(saliency).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            seen = evaluate(reader, zoom, test)
            print(f"  epoch {epoch + 1}: {seen}, {(time.perf_counter() - start) / 60:.1f} min", flush=True)


def main() -> None:
    """Draw the scenes, and train both."""
    parser = argparse.ArgumentParser(description="Find a digit in scenes of a megapixel.")
    parser.add_argument("mnist", type=Path, help="the folder of the four idx.gz files")
    parser.add_argument("--scenes", type=int, default=1500)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--drawn", type=int, default=12000, help="examples that come before the scenes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gradient", default="relative", choices=["diagonal", "relative", "full"])
    parser.add_argument("--only", choices=["patches", "even"])
    options = parser.parse_args()
    images, labels = read_mnist(options.mnist, "train")
    digits = images[options.scenes :][: options.drawn], labels[options.scenes :][: options.drawn]
    torch.manual_seed(options.seed)
    patches = PatchSampler(K, PATCH, lowres_size=128, gradient=options.gradient)
    ways = {"patches": (patches, draw_patches, 2), "even": (UniformSampler(EVEN), draw_even, 1)}
    with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
        train_part = images[: options.scenes], labels[: options.scenes]
        test_part = tuple(array[: options.test] for array in read_mnist(options.mnist, "t10k"))
        shards = write_scenes(Path(folder) / "train.tar", train_part, seed=0)
        test = write_scenes(Path(folder) / "test.tar", test_part, seed=1)
        for name, (zoom, draw, first_stride) in ways.items():
            if options.only in (None, name):
                reader = Reader(first_stride)
                print(name, flush=True)
                start = time.perf_counter()
                pretrain(reader, digits, draw)
                print(
                    f"  {len(digits[0])} drawn examples, {(time.perf_counter() - start) / 60:.1f} min",
                    flush=True,
                )
                train(reader, zoom, shards, test, options.epochs)


if __name__ == "__main__":
    main()
