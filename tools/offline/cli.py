"""``foveal zoom``: its options."""

# ruff: noqa: PLC0415 - imported when it runs: `foveal --help` answers at once

import sys
from dataclasses import replace
from typing import Annotated

import typer

from foveal.tools.console.choices import BoxFormat, DecodeMode, ImageFormat
from foveal.tools.console.options import (
    FamilyOption,
    MaxPixels,
    MaxZoom,
    MinZoom,
    OutSize,
    SaliencyOption,
    StorageOptions,
    Temperature,
    Urls,
)


def zoom(
    urls: Urls,
    *,
    out: Annotated[
        str, typer.Option(help="The folder to write to, local or s3:// or gs://.", show_default=False)
    ],
    format: Annotated[ImageFormat, typer.Option(help="What zoomed images are written as.")] = "jpg",  # noqa: A002
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of jpg and webp.")] = 90,
    out_size: OutSize = 224,
    patches: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="As many patches of each image instead, OUT_SIZE pixels high and wide.",
            show_default=False,
        ),
    ] = None,
    saliency: SaliencyOption = "spectral",
    family: FamilyOption = None,
    temperature: Temperature = None,
    max_zoom: MaxZoom = None,
    min_zoom: MinZoom = None,
    image: Annotated[str, typer.Option(help="The member to zoom.")] = "jpg;jpeg;png;webp",
    boxes: Annotated[
        list[str] | None,
        typer.Option(help="Boxes that follow the zoom, such as json:boxes; may be repeated."),
    ] = None,
    box_format: Annotated[
        BoxFormat, typer.Option(help="What four numbers of a box are, in and out.")
    ] = "xyxy",
    points: Annotated[list[str] | None, typer.Option(help="Points that do, such as json:points.")] = None,
    mask: Annotated[
        list[str] | None, typer.Option(help="Masks of class ids that do, such as mask.png.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1.  [default: a CUDA device if there is one]")
    ] = None,
    num_threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads that decode, and that encode.  [default: all processors; 1 with --ray]"
        ),
    ] = None,
    max_pixels: MaxPixels = None,
    decode: Annotated[
        DecodeMode,
        typer.Option(help="auto: JPEGs on the CPU by libjpeg-turbo, no larger than --max-zoom can show."),
    ] = "auto",
    max_bad_fraction: Annotated[float, typer.Option(help="Stop when more than this share failed.")] = 0.1,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also zoom shards again of which samples failed.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Zoom all again, whatever the folder's shards were made with.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(help="Spread over a Ray cluster: local, auto, or its address.", show_default=False),
    ] = None,
    rank: Annotated[int, typer.Option(min=0, help="Zoom each WORLD_SIZE-th shard, from this one.")] = 0,
    world_size: Annotated[int, typer.Option(min=1, help="How many processes share the work.")] = 1,
    storage_options: StorageOptions = "{}",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a shard, for logs.")] = False,
) -> None:
    """Write zoomed shards: the same names, keys and order, in a fraction of the bytes. Run again, it goes on."""
    from rich.console import Console

    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.offline.recipe import Recipe
    from foveal.tools.offline.zoom import RunOptions, zoom_shards
    from foveal.tools.packing.packed import packed

    urls = packed(urls, console=Console(stderr=True, soft_wrap=True, highlight=False, markup=False))

    recipe = Recipe(
        out_size=out_size,
        patches=patches,
        format=format,
        quality=quality,
        saliency=saliency,
        family=family,
        temperature=temperature,
        max_zoom=max_zoom,
        min_zoom=min_zoom,
        image=image,
        boxes=tuple(boxes or ()),
        box_format=box_format,
        points=tuple(points or ()),
        masks=tuple(mask or ()),
        decode=decode,
        **({} if max_pixels is None else {"max_pixels": max_pixels}),
    )
    options = RunOptions(
        device=device,
        num_threads=num_threads,
        max_bad_fraction=max_bad_fraction,
        retry_failed=retry_failed,
        overwrite=overwrite,
        rank=rank,
        world_size=world_size,
        storage_options=parse_storage_options(storage_options),
        lines=sys.stdout if json else None,
    )
    if ray is None:
        zoom_shards(urls, recipe, out=out, options=options)
        return
    from foveal.tools.offline._ray import RayCluster

    with RayCluster(ray) as cluster:
        here = replace(options, engine=cluster.zoom, device=device or cluster.device)
        zoom_shards(urls, recipe, out=out, options=here)
