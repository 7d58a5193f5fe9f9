"""``foveal zoom``: its options."""

# ruff: noqa: PLC0415 - imported when the verb runs, so that `foveal --help` is printed at once

import sys
from dataclasses import asdict, replace
from typing import Annotated

import typer

from foveal._choices import DecodeMode
from foveal.tools.console.choices import IMAGE, ImageFormat
from foveal.tools.console.options import (
    LABELS,
    PIXELS,
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
    SaliencyMember,
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
        str,
        typer.Option(
            metavar="<folder>",
            help="Folder to write to: a local path, s3:// or gs://. It is created if it does not exist.",
            show_default=False,
        ),
    ],
    format: Annotated[  # noqa: A002
        ImageFormat,
        typer.Option(
            help="File format of the zoomed images, and extension of their members. png16 is a PNG of 16 bits. npy is a NumPy array, "
            "(height, width, 3), uint8, or float32 in [0, 1] of originals with more than 8 bits a channel. The other formats have "
            "8 bits."
        ),
    ] = "jpg",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of zoomed jpg and webp files.")] = 90,
    out_size: OutSize = 224,
    patches: Annotated[
        int | None,
        typer.Option(
            metavar="<count>",
            min=1,
            help="Instead of zooming an image, cut out of it, at full resolution, so many patches of --out-size pixels where the "
            "saliency is highest; they may overlap. They become members 0.jpg, 1.jpg, and so on. Boxes, points and masks "
            "cannot be warped into patches.",
            show_default="no patches, the image is zoomed",
        ),
    ] = None,
    max_bad_fraction: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Stop with an error if more than this fraction of all samples is bad. Up to that, bad samples are left out of the "
            "zoomed shards, and listed with their reasons in the _samples.jsonl of each shard.",
        ),
    ] = 0.1,
    retry_bad: Annotated[
        bool,
        typer.Option(
            "--retry-bad",
            help="Zoom those shards again that have bad samples, e.g. after a missing extra was installed. Without it, such a shard is "
            "done unless its original was repaired, and is left as it is.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Zoom all shards again. Without it, shards that are done are left as they are unless their originals have changed, "
            "and a folder with shards of other settings is an error.",
        ),
    ] = False,
    license_name: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="License of the images, e.g. cc-by-4.0, for OUT/README.md, the dataset card, which is written in any case.",
            show_default="not stated",
        ),
    ] = None,
    ray: RayOption = None,
    rank: Annotated[
        int,
        typer.Option(
            min=0,
            help="If several processes share the shards without Ray: number of this one, counted from 0. It zooms shards RANK, RANK + "
            "WORLD_SIZE, RANK + 2 WORLD_SIZE, and so on. Environment variables are not read.",
        ),
    ] = 0,
    world_size: Annotated[
        int,
        typer.Option(
            min=1, help="Number of processes that share the shards, each started with its own --rank."
        ),
    ] = 1,
    storage_options: StorageOptions = "{}",
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="For scripts: print one JSON object for each finished shard to standard output, and everything else to standard "
            "error.",
        ),
    ] = False,
    saliency: SaliencyOption = "spectral",
    saliency_member: SaliencyMember = None,
    choice: ZoomChoice,
    boxes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<member:entry>",
            help="Boxes to warp with the image, e.g. json:boxes (the entry `boxes` of each sample's json member), "
            "json:annotations[].bbox (COCO), xml (Pascal VOC) or txt (YOLO). They are written back to the same place, in pixels or "
            "fractions of the zoomed image. May be repeated: --saliency boxes zooms on the first, and the format, frame and label "
            "options hold for all.",
            show_default="no boxes",
            rich_help_panel=LABELS,
        ),
    ] = None,
    box_format: BoxFormatOption = None,
    box_frame: BoxFrameOption = None,
    box_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<list>",
            help="List beside the boxes in a json member with an entry for each box, e.g. classes beside json:boxes. A box that the "
            "zoom moves out of the image is removed, and so is its entry in this list. What stands in the same item, row or line "
            "as its box is removed with it in any case. Where several --boxes belong together, all goes when none of them is left, "
            "and a box that is gone from what stays becomes null. May be repeated.",
            show_default="such lists keep all entries; boxes_kept beside `boxes` numbers the boxes that are left",
            rich_help_panel=LABELS,
        ),
    ] = None,
    points: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<member:entry>",
            help="Points to warp with the image, e.g. json:points (the entry `points` of each sample's json member) or "
            "json:annotations[].segmentation (COCO's polygons). May be repeated.",
            show_default="no points",
            rich_help_panel=LABELS,
        ),
    ] = None,
    point_format: PointFormatOption = None,
    point_frame: PointFrameOption = "pixel",
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<member>",
            help="Masks of class numbers to warp with the image: mask.png, mask.npy, or json:annotations[].segmentation (COCO's "
            "polygons and run lengths, written as run lengths). Each pixel takes the number of one pixel; numbers are never "
            "mixed. May be repeated.",
            show_default="no masks",
            rich_help_panel=LABELS,
        ),
    ] = None,
    drop_labels: Annotated[
        bool,
        typer.Option(
            "--drop-labels",
            help="Leave out what looks like boxes, points or masks, by its name and content, and that none of these options names. "
            "Without it, such labels are copied with the coordinates of the original, wrong for the zoomed image, and listed at "
            "the end. Classes (cls) are always copied.",
            rich_help_panel=LABELS,
        ),
    ] = False,
    image: ImageOption = IMAGE,
    max_pixels: MaxPixels = None,
    window: Window = None,
    bands: Bands = None,
    color: ColorOption = None,
    decode: Annotated[
        DecodeMode,
        typer.Option(
            help="Image decoder. dali: NVIDIA DALI decodes everything it can, at full size. auto: on the CPU, libjpeg-turbo decodes "
            "JPEGs, which is faster and gives the same pixels; if --max-zoom bounds the zoom, a large JPEG is decoded at 1/2, "
            "1/4 or 1/8 of its size where that holds all that the zoom can show. All else is as with dali.",
            rich_help_panel=PIXELS,
        ),
    ] = "auto",
    device: Annotated[
        str | None,
        typer.Option(
            metavar="<device>",
            help="Device that decodes and zooms: cpu, cuda, or one of several GPUs, e.g. cuda:1.",
            show_default="cuda if there is a GPU, else cpu",
            rich_help_panel=PIXELS,
        ),
    ] = None,
    num_threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of threads that decode images, and of threads that encode the zoomed ones.",
            show_default="one for each available processor; 1 with --ray",
            rich_help_panel=PIXELS,
        ),
    ] = None,
) -> None:
    """Write zoomed copies of shards, with the same file names, keys and order, in a fraction of the bytes.

    A sample keeps its key and its other members, and gets zoom.json, which
    leads back to the original. Indexes and a dataset card are written, too.
    For a folder of images the output is shards. saliency.pt holds the zoom
    alone: give --out-size, --window, --bands and --color as in the training.
    If it is interrupted, the same command continues where it stopped. It
    zooms shards again whose originals have changed since.
    """
    from rich.console import Console

    from foveal.pipeline.decoding import MAX_PIXELS
    from foveal.tools.console.sample_options import parse_pixels
    from foveal.tools.console.storage_options import parse_storage_options
    from foveal.tools.offline.recipe import Recipe
    from foveal.tools.offline.zoom import RunOptions, zoom_shards
    from foveal.tools.packing.common_classes import common_classes
    from foveal.tools.packing.packed import image_members, packed

    image = image_members(urls, image)
    classes = common_classes(urls)
    urls = packed(
        urls, console=Console(stderr=True, soft_wrap=True, highlight=False, markup=False), classes=classes
    )

    recipe = Recipe(
        out_size=out_size,
        patches=patches,
        format=format,
        quality=quality,
        saliency=saliency if saliency_member is None else "map",
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
        retry_failed=retry_bad,
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
