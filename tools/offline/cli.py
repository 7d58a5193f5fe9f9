"""``foveal zoom``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

import sys
from dataclasses import asdict, replace
from typing import Annotated

import typer

from foveal._choices import DecodeMode
from foveal.tools.console.choices import IMAGE, ImageFormat
from foveal.tools.console.options import (
    Bands,
    BoxFormatOption,
    BoxFrameOption,
    ColorOption,
    ImageOption,
    MaxPixels,
    OutSize,
    PointFormatOption,
    PointFrameOption,
    RayOption,
    SaliencyOption,
    StorageOptions,
    UrlsOrImages,
    Window,
)
from foveal.tools.console.spread_choice import spread_choice
from foveal.tools.console.zoom_choice import ZoomChoice


@spread_choice
def zoom(
    urls: UrlsOrImages,
    *,
    out: Annotated[
        str, typer.Option(help="Folder to write to: a local path, s3:// or gs://.", show_default=False)
    ],
    format: Annotated[  # noqa: A002
        ImageFormat,
        typer.Option(
            help="File format of the zoomed images. png16 is a PNG of 16 bits. npy is a NumPy array: float32 in [0, 1] if the original has more than 8 bits, else uint8."
        ),
    ] = "jpg",
    quality: Annotated[
        int,
        typer.Option(
            min=1,
            max=100,
            help="Quality of zoomed jpg and webp files, from 1 to 100; a higher one makes larger files.",
        ),
    ] = 90,
    out_size: OutSize = 224,
    patches: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of patches, OUT_SIZE pixels high and wide, to cut out of each image instead of zooming it.",
            show_default="no patches",
        ),
    ] = None,
    saliency: SaliencyOption = "spectral",
    choice: ZoomChoice,
    saliency_member: Annotated[
        str | None,
        typer.Option(
            help="Member of each sample that holds its saliency map, e.g. attention.npy, heat.png or json:gaze.map (rows of "
            "non-negative numbers, of any size). Use it instead of --saliency.",
            show_default="no map",
        ),
    ] = None,
    image: ImageOption = IMAGE,
    boxes: Annotated[
        list[str] | None,
        typer.Option(
            help="Boxes to warp with the image, e.g. json:boxes (the entry `boxes` of each sample's json member), json:annotations[].bbox (COCO), xml (Pascal VOC) "
            "or txt (YOLO). They are written back in the same form. May be repeated.",
            show_default="no boxes",
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    box_label: Annotated[
        list[str] | None,
        typer.Option(
            help="Label of each box, which is dropped if the zoom crops the box away: the name of an entry beside the boxes, e.g. "
            "category_id, or the number of a column, counted from 0. May be repeated.",
            show_default="no labels",
        ),
    ] = None,
    points: Annotated[
        list[str] | None,
        typer.Option(
            help="Points to warp with the image, e.g. json:points (the entry `points` of each sample's json member) or "
            "json:annotations[].segmentation (COCO's polygons). May be repeated.",
            show_default="no points",
        ),
    ] = None,
    point_format: PointFormatOption = None,
    point_frame: PointFrameOption = "pixel",
    mask: Annotated[
        list[str] | None,
        typer.Option(
            help="Masks to warp with the image, e.g. mask.png, mask.npy or json:annotations[].segmentation (COCO's polygons and run "
            "lengths, written as run lengths). Class ids are never interpolated. May be repeated.",
            show_default="no masks",
        ),
    ] = None,
    drop_labels: Annotated[
        bool,
        typer.Option(
            "--drop-labels",
            help="Leave out boxes, points and masks that no option names. Otherwise they are copied, with the coordinates of the originals.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            help="Device that decodes and zooms: cpu, cuda, or one of several GPUs, e.g. cuda:1.",
            show_default="cuda if there is a GPU, else cpu",
        ),
    ] = None,
    num_threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of threads that decode images; as many more encode them.",
            show_default="one for each available processor; 1 with --ray",
        ),
    ] = None,
    max_pixels: MaxPixels = None,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    decode: Annotated[
        DecodeMode,
        typer.Option(
            help="Image decoder. dali decodes everything with DALI, at full size. auto differs for JPEGs on the CPU: libjpeg-turbo "
            "decodes them, and no larger than --max-zoom can show."
        ),
    ] = "auto",
    max_bad_fraction: Annotated[
        float,
        typer.Option(help="Stop with an error if more than this fraction of the samples cannot be zoomed."),
    ] = 0.1,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Zoom the shards again in which samples failed; otherwise they are left as they are.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Zoom all shards again, even if OUT holds shards that were made with other settings; otherwise finished shards are "
            "kept, and other settings are an error.",
        ),
    ] = False,
    license_name: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="License of the images, e.g. cc-by-4.0, to be stated in README.md, the dataset card of the folder.",
            show_default="not stated",
        ),
    ] = None,
    ray: RayOption = None,
    rank: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of this process, counted from 0. It zooms shards RANK, RANK + WORLD_SIZE, RANK + 2 WORLD_SIZE, and so on.",
        ),
    ] = 0,
    world_size: Annotated[int, typer.Option(min=1, help="Number of processes that share the shards.")] = 1,
    storage_options: StorageOptions = "{}",
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object for each finished shard to standard output, and everything else to standard error; otherwise "
            "print text.",
        ),
    ] = False,
) -> None:
    """Write zoomed copies of shards, with the same file names, keys and order, in a fraction of the bytes.

    If it is interrupted, the same command continues where it stopped.
    """
    from rich.console import Console

    from foveal.pipeline.decoding import MAX_PIXELS
    from foveal.tools.console.pixel_options import parse_pixels
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.offline.recipe import Recipe
    from foveal.tools.offline.zoom import RunOptions, zoom_shards
    from foveal.tools.packing.packed import image_members, packed

    image = image_members(urls, image)
    urls = packed(urls, console=Console(stderr=True, soft_wrap=True, highlight=False, markup=False))

    recipe = Recipe(
        out_size=out_size,
        patches=patches,
        format=format,
        quality=quality,
        saliency="map" if saliency_member is not None and saliency == "spectral" else saliency,
        saliency_member=saliency_member,
        **asdict(choice),
        image=image,
        boxes=tuple(boxes or ()),
        box_format=box_format,
        box_frame=box_frame,
        box_labels=tuple(int(name) if name.isdecimal() else name for name in box_label or ()),
        points=tuple(points or ()),
        point_format=point_format,
        point_frame=point_frame,
        masks=tuple(mask or ()),
        drop_labels=drop_labels,
        decode=decode,
        rule=parse_pixels(window, bands, color),
        max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
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
        license_name=license_name,
        lines=sys.stdout if json else None,
    )
    if ray is None:
        zoom_shards(urls, recipe, out=out, options=options)
        return
    from foveal.tools.console.ray_cluster import RayCluster
    from foveal.tools.offline._ray import RayZoom

    with RayCluster(ray) as cluster:
        engine = RayZoom(cluster)
        here = replace(options, engine=engine.zoom, device=device or engine.device)
        zoom_shards(urls, recipe, out=out, options=here)
