"""``foveal doctor``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

from typing import Annotated

import typer

from foveal.tools.console.choices import IMAGE
from foveal.tools.console.options import (
    URLS_OR_IMAGES,
    Bands,
    ColorOption,
    ImageOption,
    OutSize,
    Repeats,
    StorageOptions,
    Window,
)


def doctor(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SHARDS",
            help=URLS_OR_IMAGES + " They may be left out with --warm only.",
            show_default=False,
        ),
    ] = None,
    *,
    images: Annotated[
        int, typer.Option(min=1, help="Number of images to measure, spread evenly over all shards.")
    ] = 64,
    out_size: OutSize = 224,
    repeats: Repeats = 3,
    compile_ahead: Annotated[
        bool,
        typer.Option(
            "--warm",
            help="First compile the code of Foveal's zoom for the CPU of this machine, and for its GPU if there is one, and keep "
            "it on disk. Without it, the first batch of the first loader waits some 20 seconds for that. Measuring is left out "
            "if no SHARDS are given.",
        ),
    ] = False,
    image: ImageOption = IMAGE,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    storage_options: StorageOptions = "{}",
) -> None:
    """Measure what limits the speed of a loader for these shards on this machine, and say what to do about it."""
    if compile_ahead:
        from foveal.tools.doctor.warm import warm

        warm()
    if not urls:
        if compile_ahead:
            return
        raise typer.BadParameter(
            "name the shards to examine, or compile ahead with --warm.", param_hint="SHARDS"
        )
    from rich.console import Console

    from foveal.tools.console.sample_options import parse_pixels
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.doctor.doctor import examine
    from foveal.tools.packing.packed import image_members, packed

    examine(
        packed(urls, console=Console(stderr=True, soft_wrap=True, highlight=False, markup=False)),
        images=images,
        out_size=out_size,
        repeats=repeats,
        image=image_members(urls, image),
        rule=parse_pixels(window, bands, color),
        storage_options=parse_storage_options(storage_options),
    )
