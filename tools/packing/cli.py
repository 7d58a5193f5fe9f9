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
            help="Folder of images. If they lie in folders below it, the names of those folders are the classes.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False, help="Folder to write the shards to; it is created.", show_default=False
        ),
    ],
    shard_size: Annotated[
        str, typer.Option(help="Size at which a shard is full and the next one begins, e.g. 500MB or 1GB.")
    ] = "500MB",
    no_labels: Annotated[
        bool,
        typer.Option(
            "--no-labels",
            help="Write no classes; otherwise, if the images lie in folders, the folders are the classes.",
        ),
    ] = False,
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle",
            help="Write the samples in a random order, for loaders that can only shuffle neighbouring samples; otherwise they are "
            "sorted by key.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the shards that are already in OUT; otherwise it is an error if there are any.",
        ),
    ] = False,
    ray: RayOption = None,
) -> None:
    """Write the images of a folder to WebDataset shards, with an index beside each.

    Each image becomes one sample, its bytes unchanged. Files with the same
    name are added to the sample: 0001.json and 0001.mask.png belong to
    0001.jpg. If every image lies in a folder below FOLDER, the name of the
    first folder on its path is its class. The number of the class becomes the
    cls member of the sample, and OUT/classes.txt lists the names.
    """
    from rich.console import Console

    from foveal.tools.console.distribute import distributed
    from foveal.tools.packing.pack import pack as pack_folder

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False)
    with distributed(ray) as distribute:
        pack_folder(
            folder,
            out,
            shard_size=shard_size,
            labelled=False if no_labels else None,
            shuffle=shuffle,
            overwrite=overwrite,
            distribute=distribute,
            console=console,
        )
