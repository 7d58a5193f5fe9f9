"""``foveal bench peers``: how fast are other loaders?

All of them load the same images from the same shards, on the same processors, as float32 batches of the same size:
webdataset in torch's DataLoader with Pillow or simplejpeg (at full size, and scaled while decoding), OpenCV, libvips and
torchcodec; a plain DALI pipeline; nvImageCodec alone; SPDL. These resize uniformly; Foveal is timed both resizing
uniformly and zooming. There are as many shards as processors, so that all worker processes have the same amount of work.

Loaders that are not installed are listed as such (extra ``peers``). Before the timing every loader reads every file once:
a file that one of them cannot read is left out for all and counted, and a loader that cannot read most files, or delivers
wrong images, is not timed.
"""

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path

from rich.console import Console
from torch import Tensor

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import Shards
from foveal.tools.bench._check_loader import check_loader
from foveal.tools.bench._deal_samples import deal_files, pick_files
from foveal.tools.bench._loader import WAYS, check_of
from foveal.tools.bench._named import named
from foveal.tools.bench._throughput import print_throughput
from foveal.tools.bench.ceilings import DECODE, count_pixels, decoded_batches, exhaust
from foveal.tools.bench.peers._check_resized import Images, check_resized, resized_file, resized_originals
from foveal.tools.bench.peers._peer import Peer
from foveal.tools.bench.peers._shared_files import find_shared
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.scenes.scenes import write_shards

UNIFORM = "Foveal, uniform, decode auto"
ZOOMING = WAYS[:3]

_CHECKED = 8  # images of Foveal's loaders that zoom: foveal bench loader checks all of them

Batches = Iterable[Tensor]


def bench_peers(
    urls: Sequence[str],
    *,
    images: int = 128,
    batch_size: int = 32,
    repeats: int = 5,
    size: int = 224,
    scenes: int = 32,
    json_path: Path | None = None,
) -> dict[str, Timing]:
    """Time every loader that is installed and delivers the right images, print a table, and return the timings.

    Args:
        urls: Shards of JPEGs; none for generated scenes.
        images: How many images an epoch has: some of those of the shards, or the same ones again.
        batch_size: Images in a batch.
        repeats: Rounds.
        size: Height and width of the images that are delivered, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the numbers go too.

    Raises:
        ValueError: Our own loader does not deliver what it should, or there is no file that all can read.
    """
    console, workers = Console(), len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="foveal-") as name, ExitStack() as loaders:
        folder = Path(name)
        given = Shards(urls or write_shards(folder / "scenes", scenes, console=console))
        peers, unusable = installed(peer_makers(size, batch_size, workers))
        files = pick_files(given, images)
        shared = find_shared(files, peers, [resized_file(file, size) for file in files])
        if not shared.files:
            raise ValueError(
                f"urls must have files that all loaders can read, got {len(files)} that one cannot."
            )
        shards = Shards(deal_files(shared.files, folder / "epoch", images, parts=workers))
        pixels, expected = count_pixels(shards), resized_originals(shards, size)
        ours = _ours(shards, size, batch_size, loaders)
        with named(UNIFORM):
            check_resized(_first(ours[UNIFORM]), expected)
        makers = {
            name: partial(peer.batches, shards.urls)
            for name, peer in peers.items()
            if name not in shared.unusable
        }
        right, wrong = usable(makers, expected)
        unusable |= shared.unusable | wrong
        console.print(
            f"{images:,} images, {pixels / 1e6:,.0f} MP, to {size} × {size} in batches of {batch_size}, on "
            f"{describe_machine()}. Checked: every image once, as torch resizes it.",
            soft_wrap=True,
        )
        if said := shared.describe(len(files)):
            console.print(said, soft_wrap=True, markup=False)
        cases: dict[str, Callable[[], object]] = {
            DECODE: lambda: exhaust(decoded_batches(shards, 8)),
            **{name: partial(exhaust, batches) for name, batches in (right | ours).items()},
        }
        timings = alternate(cases, repeats, console=console)
    print_throughput(console, timings, images=images, pixels=pixels)
    for name, reason in unusable.items():
        console.print(f"{name}: {reason}", soft_wrap=True, markup=False)
    if json_path:
        facts = {"images": images, "pixels": pixels, "batch_size": batch_size, "size": size}
        write_json(
            json_path,
            "peers",
            timings,
            ours=list(ours),
            ceilings=[DECODE],
            unusable=unusable,
            refused=shared.refused,
            **facts,
        )
    return timings


def _ours(
    shards: Shards, size: int, batch_size: int, loaders: ExitStack
) -> dict[str, Iterable[tuple[Tensor, ...]]]:
    """Return Foveal's loaders; those that zoom have been checked."""
    for way in ZOOMING:
        with way.loader(shards.urls, size, batch_size) as loader, named(way.name):
            check_loader(loader, shards, first=_CHECKED, check=check_of(way))
    zooming = {way.name: way.loader(shards.urls, size, batch_size, ("image",)) for way in ZOOMING}
    uniform = ZoomLoader(
        shards.urls, UniformSampler(size), batch_size=batch_size, fields=("image",), device="cpu"
    )
    return {name: loaders.enter_context(loader) for name, loader in {UNIFORM: uniform, **zooming}.items()}


def _first(batches: Iterable[tuple[Tensor, ...]]) -> Iterator[Tensor]:
    return (batch[0] for batch in batches)


def peer_makers(size: int, batch_size: int, workers: int) -> dict[str, Callable[[], Peer]]:
    """Return for each other loader a function that makes it. Nothing is imported yet."""

    def peer(module: str, function: str, **options: bool) -> Callable[[], Peer]:
        def make() -> Peer:
            made: Callable[..., Peer] = getattr(import_module(f"{__package__}.{module}"), function)
            return made(size=size, batch_size=batch_size, workers=workers, **options)

        return make

    loader = f"webdataset, DataLoader ({workers})"
    return {
        f"{loader}, Pillow": peer("_pillow", "pillow_peer"),
        f"{loader}, Pillow in draft mode": peer("_pillow", "pillow_peer", draft=True),
        f"{loader}, simplejpeg": peer("_simplejpeg", "simplejpeg_peer"),
        f"{loader}, simplejpeg, scaled": peer("_simplejpeg", "simplejpeg_peer", scaled=True),
        f"{loader}, OpenCV, reduced": peer("_opencv", "opencv_peer"),
        f"{loader}, libvips, shrink-on-load": peer("_pyvips", "pyvips_peer"),
        f"{loader}, torchcodec": peer("_torchcodec", "torchcodec_peer"),
        "DALI pipeline": peer("_dali", "dali_peer"),
        "nvImageCodec": peer("_nvimagecodec", "nvimagecodec_peer"),
        "SPDL": peer("_spdl", "spdl_peer"),
        "FFCV": _ffcv,
    }


def _ffcv() -> Peer:
    if importlib.util.find_spec("ffcv") is None:
        raise ModuleNotFoundError("No module named 'ffcv'", name="ffcv")
    raise ValueError("it reads files of its own instead of shards.")


def installed(makers: Mapping[str, Callable[[], Peer]]) -> tuple[dict[str, Peer], dict[str, str]]:
    """Return the loaders that can be used, and for each other one the reason why it cannot."""
    made: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except ModuleNotFoundError as error:
            missing[name] = f"not installed ({error.name})"
        except Exception as error:  # noqa: BLE001 - other software may fail in any way
            missing[name] = _not_timed(error)
    return made, missing


def _not_timed(error: Exception) -> str:
    return f"not timed, as here {' '.join(str(error).split())[:200]}"


def usable(
    makers: Mapping[str, Callable[[], Batches]], expected: Images
) -> tuple[dict[str, Batches], dict[str, str]]:
    """Return the loaders that deliver the right images, and for each other one the reason why it is left out."""
    good: dict[str, Batches] = {}
    unusable: dict[str, str] = {}
    for name, make in makers.items():
        try:
            peer = make()
            check_resized(peer, expected)
        except Exception as error:  # noqa: BLE001 - as above
            unusable[name] = _not_timed(error)
        else:
            good[name] = peer
    return good, unusable
