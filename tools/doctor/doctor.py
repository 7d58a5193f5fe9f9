"""``foveal doctor``: find out what limits a loader for some shards on this machine, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from foveal.pipeline import PixelRule
from foveal.pipeline.decoding import PLAIN
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.quiet_codecs import quiet_codecs
from foveal.tools.console.table import print_table
from foveal.tools.doctor._advice import Advice, advise
from foveal.tools.doctor._facts import DECODE, DEFAULT, READ, STAGES, Facts
from foveal.tools.doctor._measure import measure


def examine(
    urls: Sequence[str],
    *,
    images: int = 64,
    out_size: int = 224,
    repeats: int = 3,
    image: str = "image",
    rule: PixelRule = PLAIN,
    storage_options: Mapping[str, Any] | None = None,
) -> Facts:
    """Measure, then print the verdict, the advice, and a table of the stages.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        images: How many images to measure, spread evenly over all shards.
        out_size: Height and width of the zoomed images, in pixels.
        repeats: Number of rounds; each round times every case once.
        image: The field that is the image.
        rule: How stored values become grey levels.
        storage_options: For remote shards.

    Raises:
        ShardError: A shard cannot be read, or they hold no sample.
        ValueError: None of the images can be decoded.
    """
    console = Console()
    with quiet_codecs():
        facts = measure(
            urls,
            images=images,
            out_size=out_size,
            repeats=repeats,
            console=console,
            image=image,
            rule=rule,
            storage_options=storage_options,
        )
    if facts.is_busy:
        console.print(busy(facts), soft_wrap=True, markup=False, highlight=False)
    console.print(verdict(facts), soft_wrap=True)
    for advice in advise(facts):
        console.print(f"  * {describe(advice)}", soft_wrap=True, markup=False, highlight=False)
    console.print()
    print_table(console, ["", "ms an image", "images/s", "MP/s", "MB/s", "share"], rows(facts))
    console.print(
        f"{facts.images:,} of {facts.samples:,} images, {facts.pixels / 1e6:,.0f} MP, to {out_size} × {out_size}, on "
        f"{describe_machine()}.",
        soft_wrap=True,
    )
    return facts


def verdict(facts: Facts) -> str:
    """Return one sentence that says which stage limits the loader, and how fast the loader is."""
    rate = 1 / facts.loader_seconds
    megapixels = rate * facts.pixels / facts.images / 1e6
    speed = f"{rate:,.1f} images/s ({megapixels:,.0f} MP/s) with the loader's defaults"
    if facts.limit == READ:
        return f"Reading limits: {speed}; without waiting for it, {1 / facts.loaders[DEFAULT]:,.1f}."
    share = facts.stages[facts.limit] / sum(facts.stages.values())
    return f"{facts.limit.capitalize()} limits: {speed}, and {share:.0%} of the work is {facts.limit}."


def busy(facts: Facts) -> str:
    """Return one sentence on how to read figures that were measured while other processes worked."""
    return (
        f"The machine was busy: other processes used {facts.busy:.1f} of {facts.processors} processors while this was measured, "
        "so the figures are too low, and the advice may be wrong. Run again when nothing else runs."
    )


def describe(advice: Advice) -> str:
    """Return a piece of advice as it is printed."""
    return advice.do + (f" – {advice.gain:.1f} times as fast" if advice.gain else "") + "."


def rows(facts: Facts) -> list[list[str]]:
    """Return the rows of the table: each stage alone, other ways to decode, and the whole loader."""
    total = sum(facts.stages.values())
    stages = [_row(facts, stage, facts.stages[stage], share=facts.stages[stage] / total) for stage in STAGES]
    decoding = [_row(facts, f"{DECODE}, {s}", taken) for s, taken in facts.decoding.items() if s != DEFAULT]
    loaders = [_row(facts, f"loader, {s}", taken) for s, taken in facts.loaders.items()]
    return [*stages, *decoding, *loaders]


def _row(facts: Facts, name: str, seconds: float, *, share: float | None = None) -> list[str]:
    return [
        name,
        f"{1000 * seconds:.2f}",
        f"{1 / seconds:,.1f}",
        "" if name == READ else f"{facts.pixels / facts.images / seconds / 1e6:,.0f}",
        f"{facts.bytes / facts.images / seconds / 1e6:,.0f}" if name == READ else "",
        "" if share is None else f"{share:.0%}",
    ]
