"""``foveal bench peers``: what would one use instead, and how fast is that?

The same images, from the same shards, on the same processors, to batches of the same size in float32: by webdataset in
torch's DataLoader with Pillow or simplejpeg, at full scale and scaled down in decoding; by a plain DALI pipeline; by
SPDL. All of those resize uniformly; beside them, ours that does, and ours that zooms. The samples are dealt into as
many shards as there are processors, so that worker processes have as much to do. What is not installed is said to be
so, and what does not deliver the images is not timed.
"""

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console
from torch import Tensor

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.shards import Shards
from foveal.tools.bench._check_loader import check_loader
from foveal.tools.bench._deal_samples import deal_samples
from foveal.tools.bench._loader import WAYS
from foveal.tools.bench._throughput import print_throughput
from foveal.tools.bench.ceilings import DECODE, count_pixels, decoded_batches, exhaust
from foveal.tools.bench.peers._check_resized import Images, check_resized, resized_originals
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.scenes.scenes import write_shards

UNIFORM = "Foveal, uniform, decode auto"
ZOOMING = WAYS[:3]

_CHECKED = 8  # images, of our loaders that zoom: foveal bench loader checks all

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
    """Time every loader that is installed and right, print a table, and return the timings.

    Args:
        urls: Shards of JPEGs; none for generated scenes.
        images: How many images an epoch has: some of those of the shards, or the same ones again.
        batch_size: Images in a batch.
        repeats: Rounds.
        size: Height and width of the images that are delivered, in pixels.
        scenes: How many scenes to generate.
        json_path: Where the numbers go too.

    Raises:
        ValueError: Our own loader does not deliver what it should.
    """
    console, workers = Console(), len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="foveal-") as name, ExitStack() as loaders:
        folder = Path(name)
        given = Shards(urls or write_shards(folder / "scenes", scenes, console=console))
        shards = Shards(deal_samples(given, folder / "epoch", images, parts=workers))
        pixels, expected = count_pixels(shards), resized_originals(shards, size)
        ours = _ours(shards, size, batch_size, loaders)
        check_resized(_first(ours[UNIFORM]), expected)
        peers, unusable = usable(peer_makers(shards.urls, size, batch_size, workers), expected)
        console.print(
            f"{images:,} images, {pixels / 1e6:,.0f} MP, to {size} × {size} in batches of {batch_size}, on "
            f"{describe_machine()}. Checked: every image once, as torch resizes it.",
            soft_wrap=True,
        )
        cases: dict[str, Callable[[], object]] = {
            DECODE: lambda: exhaust(decoded_batches(shards, 8)),
            **{name: partial(exhaust, batches) for name, batches in (peers | ours).items()},
        }
        timings = alternate(cases, repeats, console=console)
    print_throughput(console, timings, images=images, pixels=pixels)
    for name, reason in unusable.items():
        console.print(f"{name}: {reason}", soft_wrap=True, markup=False)
    if json_path:
        facts = {"images": images, "pixels": pixels, "batch_size": batch_size, "size": size}
        write_json(
            json_path, "peers", timings, ours=list(ours), ceilings=[DECODE], unusable=unusable, **facts
        )
    return timings


def _ours(
    shards: Shards, size: int, batch_size: int, loaders: ExitStack
) -> dict[str, Iterable[tuple[Tensor, ...]]]:
    """Return our loaders; those that zoom are checked already."""
    for way in ZOOMING:
        with way.loader(shards.urls, size, batch_size) as loader:
            check_loader(loader, shards, first=_CHECKED, check=way.check)
    zooming = {way.name: way.loader(shards.urls, size, batch_size, ("image",)) for way in ZOOMING}
    uniform = ZoomLoader(shards.urls, UniformSampler(size), batch_size=batch_size, fields=("image",))
    return {name: loaders.enter_context(loader) for name, loader in {UNIFORM: uniform, **zooming}.items()}


def _first(batches: Iterable[tuple[Tensor, ...]]) -> Iterator[Tensor]:
    return (batch[0] for batch in batches)


def peer_makers(
    urls: list[str], size: int, batch_size: int, workers: int
) -> dict[str, Callable[[], Batches]]:
    """Return what makes each of the others. Nothing is imported yet."""

    def pillow(*, draft: bool) -> Batches:
        from foveal.tools.bench.peers._pillow import pillow_peer  # noqa: PLC0415 - may not be installed

        return pillow_peer(urls, size=size, batch_size=batch_size, workers=workers, draft=draft)

    def simplejpeg(*, scaled: bool) -> Batches:
        from foveal.tools.bench.peers._simplejpeg import simplejpeg_peer  # noqa: PLC0415 - may not be installed

        return simplejpeg_peer(urls, size=size, batch_size=batch_size, workers=workers, scaled=scaled)

    def dali() -> Batches:
        from foveal.tools.bench.peers._dali import DaliPeer  # noqa: PLC0415 - an iterator for PyTorch comes along

        return DaliPeer(urls, size=size, batch_size=batch_size, workers=workers)

    def spdl() -> Batches:
        from foveal.tools.bench.peers._spdl import SpdlPeer  # noqa: PLC0415 - may not be installed

        return SpdlPeer(urls, size=size, batch_size=batch_size, workers=workers)

    loader = f"webdataset, DataLoader ({workers})"
    return {
        f"{loader}, Pillow": partial(pillow, draft=False),
        f"{loader}, Pillow in draft mode": partial(pillow, draft=True),
        f"{loader}, simplejpeg": partial(simplejpeg, scaled=False),
        f"{loader}, simplejpeg, scaled": partial(simplejpeg, scaled=True),
        "DALI pipeline": dali,
        "SPDL": spdl,
        "FFCV": _ffcv,
    }


def _ffcv() -> Batches:
    if importlib.util.find_spec("ffcv") is None:
        raise ModuleNotFoundError("No module named 'ffcv'", name="ffcv")
    raise ValueError("it reads files of its own instead of shards.")


def usable(
    makers: dict[str, Callable[[], Batches]], expected: Images
) -> tuple[dict[str, Batches], dict[str, str]]:
    """Return the loaders that deliver what they should, and for each other one what is in the way."""
    good: dict[str, Batches] = {}
    unusable: dict[str, str] = {}
    for name, make in makers.items():
        try:
            peer = make()
            check_resized(peer, expected)
        except ModuleNotFoundError as error:
            unusable[name] = f"not installed ({error.name})"
        except Exception as error:  # noqa: BLE001 - somebody else's software, of which anything may be missing
            unusable[name] = f"not timed, as here {' '.join(str(error).split())[:200]}"
        else:
            good[name] = peer
    return good, unusable
