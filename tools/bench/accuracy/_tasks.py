"""The tasks of ``foveal bench accuracy``: shards of images whose label depends on a small part of each image."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from rich.console import Console

from foveal.pipeline import Augment
from foveal.shards import Sample, Shards, ShardWriter
from foveal.tools.console.choices import AccuracyTaskName
from foveal.tools.scenes.digit_scenes import Digits, write_digit_scenes
from foveal.tools.training.labels import read_labels

TASKS: tuple[str, ...] = get_args(AccuracyTaskName)
COINS = ("1c", "2c", "5c", "10c", "20c", "50c", "1e", "2e")
_COIN_TILE, _ROAD_TILE = 1024, (320, 512)
_FLIPS = Augment(hflip=0.5, vflip=0.5)  # of photographs, whose labels they do not change
DRAWN = ("digits", "digits-colour")
"""The tasks whose images are drawn."""

# The tasks whose data are shards already: the folder below the data, number of labels, and epochs.
_SHARDS = {"pcb": ("field/pcb", 6, 10), "coffee": ("field/coffee-small", 5, 60)}
# Shares of a road's tile that are crack: above the first value the tile is labelled as cracked; a smaller share may be
# the end of a neighbour's crack.
_CRACKED = 0.002


@dataclass(frozen=True, slots=True)
class AccuracyTask:
    """Shards to train on and to measure on, of different originals.

    Attributes:
        train: Shards of ``jpg``, ``cls`` and, but for roads, ``json`` with the ``boxes`` of what carries the label.
        val: Likewise.
        classes: How many labels there are.
        epochs: How often to go through the shards.
        augment: Augmentation that changes no label; None for drawn scenes, of which there are as many as needed.
    """

    train: list[str]
    val: list[str]
    classes: int
    epochs: int
    augment: Augment | None

    @property
    def has_boxes(self) -> bool:
        """Whether the position of the label is known."""
        with Shards(self.train) as shards:
            return "json" in shards[0].members

    def counts(self) -> tuple[int, int, float]:
        """Return the number of training and test images, and the share of the most common label among the test images."""
        with Shards(self.train) as train:
            labels = Counter(read_labels(self.val))
            return len(train), labels.total(), max(labels.values()) / labels.total()


def make_task(name: str, folder: Path, data: Path, *, scenes: int, console: Console) -> AccuracyTask:
    """Write the shards of a task; existing ones are kept.

    Args:
        name: One of :data:`TASKS`.
        folder: Where to write them.
        data: The folder that holds ``field/pcb``, ``field/coffee-small``, ``digits``, ``coins`` and ``roads``.
        scenes: How many scenes with digits to train on, and a quarter as many to measure on.
        console: Where the progress shows.

    Raises:
        ValueError: The data is not there.
    """
    if name in DRAWN:
        return _digits(name, folder, data / "digits", scenes, console)
    if name in _SHARDS:
        return _ready_shards(name, data)
    cut, classes, epochs = {"coins": (_coin_tiles, len(COINS), 60), "roads": (_road_tiles, 2, 100)}[name]
    if not (found := sorted((data / name).glob("*.tar"))):
        raise ValueError(
            f"data must be a folder with {name}/*.tar, got {str(data)!r} – name it with --data, or in FOVEAL_DATA."
        )
    with Shards(found) as shards:
        count = len(shards)
        held_out = range(3, count, 4)
        learned = [number for number in range(count) if number not in held_out]
        train = _write_tiles(folder / f"{name}-train.tar", shards, learned, cut)
        val = _write_tiles(folder / f"{name}-val.tar", shards, held_out, cut)
    return AccuracyTask([train], [val], classes, epochs, _FLIPS)


def _ready_shards(name: str, data: Path) -> AccuracyTask:
    """Return the task of a folder with ``train-*.tar`` and ``test-*.tar``. Its ``val-*.tar`` are for choosing settings and are not read."""
    below, classes, epochs = _SHARDS[name]
    train, test = (
        [str(path) for path in sorted((data / below).glob(f"{part}-*.tar"))] for part in ("train", "test")
    )
    if not train or not test:
        raise ValueError(
            f"data must be a folder with {below}/train-*.tar and {below}/test-*.tar, got {str(data)!r} – name it with --data, "
            "or in FOVEAL_DATA."
        )
    return AccuracyTask(train, test, classes, epochs, _FLIPS)


def _digits(name: str, folder: Path, digits: Path, scenes: int, console: Console) -> AccuracyTask:
    parts = (("train", scenes, 0), ("t10k", scenes // 4, 1))
    train, val = (
        write_digit_scenes(
            folder / f"{name}-{part}",
            Digits.read(digits, part),
            count,
            colour=name == "digits-colour",
            seed=seed,
            console=console,
        )
        for part, count, seed in parts
    )
    return AccuracyTask(train, val, 10, 11, None)


_Tiles = Callable[[Sample, np.random.Generator], Iterator[Mapping[str, Any]]]


def _write_tiles(path: Path, shards: Shards, chosen: Sequence[int], cut: _Tiles) -> str:
    """Write the tiles of these photographs; the tiles of one photograph are all in one shard."""
    if not path.exists():  # a shard appears complete
        path.parent.mkdir(parents=True, exist_ok=True)
        with ShardWriter(path) as writer:
            for number in chosen:
                for place, tile in enumerate(cut(shards[number], np.random.default_rng(number))):
                    writer.write({"__key__": f"{number:03d}-{place:02d}", **tile})
    return str(path)


def _coin_tiles(sample: Sample, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
    """Cut a tile for each coin, at a random offset, and paint over the other coins with the colour of the ground."""
    told = json.loads(sample.members["json"])
    photo = ImageOps.exif_transpose(Image.open(io.BytesIO(sample.members["jpg"]))).convert("RGB")
    red, green, blue = np.median(np.asarray(photo)[::16, ::16].reshape(-1, 3), axis=0).astype(int).tolist()
    empty = photo.copy()
    for box in told["boxes"]:
        ImageDraw.Draw(empty).ellipse(box, fill=(red, green, blue))
    for box, label in zip(told["boxes"], told["labels"], strict=True):
        x, y = (
            int(rng.integers(max(0, high - _COIN_TILE), max(0, min(low, side - _COIN_TILE)) + 1))
            for low, high, side in zip(box[:2], box[2:], photo.size, strict=True)
        )
        tile = empty.crop((x, y, x + _COIN_TILE, y + _COIN_TILE))
        disc = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        ImageDraw.Draw(disc).ellipse((0, 0, disc.width - 1, disc.height - 1), fill=255)
        tile.paste(photo.crop(tuple(box)), (box[0] - x, box[1] - y), disc)
        own = [box[0] - x, box[1] - y, box[2] - x, box[3] - y]
        yield {"jpg": _jpeg(tile), "cls": COINS.index(label), "json": {"boxes": [own]}}


def _road_tiles(sample: Sample, _rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
    """Cut a photograph into tiles without overlap. Tiles that show only a tiny part of a crack are left out."""
    photo = Image.open(io.BytesIO(sample.members["jpg"])).convert("RGB")
    crack = np.asarray(Image.open(io.BytesIO(sample.members["crack.png"])).convert("L")) > 127
    height, width = _ROAD_TILE
    for y in range(0, photo.height - height + 1, height):
        for x in range(0, photo.width - width + 1, width):
            share = float(crack[y : y + height, x : x + width].mean())
            if share == 0 or share > _CRACKED:
                yield {"jpg": _jpeg(photo.crop((x, y, x + width, y + height))), "cls": int(share > 0)}


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
