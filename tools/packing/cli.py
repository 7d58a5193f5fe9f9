"""``foveal pack``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

import sys
from pathlib import Path
from typing import Annotated

import typer

from foveal.tools.console.options import RayOption


def pack(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder of images, in folders named by their classes, or without classes.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="Local folder to write to; it is created. The shards are named by FOLDER: train-000000.tar, and so on.",
            show_default=False,
        ),
    ],
    shard_size: Annotated[
        str,
        typer.Option(
            metavar="<size>",
            help="Size at which a shard is full and the next one begins: a number and kB, MB, GB (powers of 1000) or KiB, MiB, GiB "
            "(powers of 1024), e.g. 1GB; without a unit, bytes.",
        ),
    ] = "500MB",
    no_classes: Annotated[
        bool,
        typer.Option(
            "--no-classes",
            help="Write no classes. Without it, the folders below FOLDER are classes if all images lie in them.",
        ),
    ] = False,
    classes_from: Annotated[
        Path | None,
        typer.Option(
            metavar="<folder>",
            exists=True,
            file_okay=False,
            help="Number the classes as in a folder that was packed before, by its classes.txt: use it for validation images, of "
            "which some class may be missing. A class that is not there is an error.",
            show_default="numbers from 0, in the sorted order of the names",
        ),
    ] = None,
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle",
            help="Write the samples in a random order, the same each time. Foveal's own loader does not need it; loaders with a "
            "shuffle buffer do, because they only mix samples that lie near each other. Without it, samples are sorted by key.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Delete the shards that foveal pack wrote to OUT before. Without it, shards in OUT are an error; other shards are in "
            "any case.",
        ),
    ] = False,
    ray: RayOption = None,
) -> None:
    """Write the images of a folder to WebDataset shards, with an index beside each.

    Each image becomes a sample, its bytes unchanged; its key is its path below
    FOLDER without the extension, with _ for other dots in the file's name:
    clip.0001.jpg becomes clip_0001. Images may be jpg, png, webp, tif, dcm and
    others that Foveal reads.

    Files whose names continue that of an image after a dot are members of its
    sample: 0001.json and 0001.mask.png belong to 0001.jpg. An image of the same
    format whose name goes on without a letter is a sample of its own, such as
    0.5.jpg beside 0.jpg.

    A shard with white space in a name gets no index, which could not hold it;
    the command then says so. Foveal reads such shards all the same.

    If every image lies in a folder below FOLDER, the first folder on its path
    is its class: photos/train/cat/1.jpg is a cat. The class's number becomes
    the cls member of the sample; OUT/classes.txt lists the names in the order
    of the numbers. If some image lies in FOLDER itself, no sample has a class.
    """
    from rich.console import Console

    from foveal.tools.console.distribute import distributed
    from foveal.tools.packing.class_list import read_classes
    from foveal.tools.packing.pack import pack as pack_folder

    classes = None if classes_from is None else read_classes(classes_from)
    labelled = False if no_classes else True if classes is not None else None
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    with distributed(ray) as distribute:
        pack_folder(
            folder,
            out,
            shard_size=shard_size,
            labelled=labelled,
            labels=classes,
            shuffle=shuffle,
            overwrite=overwrite,
            distribute=distribute,
            console=console,
        )
