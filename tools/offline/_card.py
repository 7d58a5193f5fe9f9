"""The card of a folder of zoomed shards: ``README.md``, for people and for programs that read dataset cards.

Its header has the form of the Hugging Face hub and says which files are data: without it, the tables beside the tars
would be read as samples.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch

from foveal.shards import Shards
from foveal.shards.store import Store
from foveal.tools.console.counted import counted
from foveal.tools.offline._finish import SHEET
from foveal.tools.offline._unwarped import Unwarped
from foveal.tools.offline.manifest import read_manifest
from foveal.tools.offline.shard import Job
from foveal.tools.offline.shard_files import ShardStats
from foveal.tools.packing.without_index import without_index

CARD = "README.md"
_OURS = (
    "<!-- Written by foveal zoom, and written again by its next run; delete this line to keep changes. -->"
)
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "dev": "validation", "test": "test"}
_MACHINE = ("foveal", "decoder", "encoder", "weights")


def write_card(
    job: Job,
    done: Mapping[str, ShardStats],
    store: Store,
    unwarped: Sequence[Unwarped],
    *,
    damaged: Sequence[str],
    license_name: str | None,
) -> bool:
    """Write the card, unless there is a README that Foveal did not write.

    Args:
        job: How the shards were made.
        done: The stats of all shards, by name.
        store: The folder.
        unwarped: Labels that do not fit the zoomed images.
        damaged: The names of shards whose originals cannot be read now; some may be there from before.
        license_name: License of the images, for the card's header; None leaves it out.

    Returns:
        Whether it was written.
    """
    names = store.names()
    before = store.read(CARD) if CARD in names else None
    if before is not None and _OURS.encode() not in before:
        return False
    without = without_index(list(done), names)
    parts = [
        _head(list(done), license_name),
        "# Zoomed images",
        _OURS,
        _facts(done, damaged, without),
        *([f"![Some of the samples, before and after]({SHEET})"] if SHEET in names else []),
        _members(job, done, store, unwarped),
        _settings(read_manifest(store) or {}),
        _ways(indexed=not without),
    ]
    text = ("\n\n".join(parts) + "\n").encode()
    if before != text:
        store.write(CARD, text)
    return True


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """Return a pattern of file names for each split.

    A shard belongs to the split that its name contains (``train``, ``val``, ``test``). If not every name contains one,
    all shards belong to ``train``.
    """
    names = list(names)
    patterns = {word: f"*{word}*.tar" for word in _SPLITS}
    found = {
        name: [word for word in _SPLITS if re.search(rf"(?<![a-z]){word}(?![a-z])", name)] for name in names
    }
    words = dict.fromkeys(word for each in found.values() for word in each)
    fits = all(
        len(each) == 1 and [word for word in words if fnmatch(name, patterns[word])] == each
        for name, each in found.items()
    )
    if not fits or len({_SPLITS[word] for word in words}) < len(words):
        return {"train": "*.tar"}
    return {_SPLITS[word]: patterns[word] for word in words} or {"train": "*.tar"}


def _head(names: Iterable[str], license_name: str | None) -> str:
    files = [
        f"  - split: {split}\n    path: {json.dumps(pattern)}" for split, pattern in splits_of(names).items()
    ]
    named = [f"license: {json.dumps(license_name)}"] if license_name else []
    lines = ["---", *named, "configs:", "- config_name: default", "  data_files:", *files, "---"]
    return "\n".join(lines)


def _facts(done: Mapping[str, ShardStats], damaged: Sequence[str], without: Sequence[str]) -> str:
    images, pixels = (sum(getattr(stats, name) for stats in done.values()) for name in ("ok", "pixels"))
    there, here = (sum(getattr(stats, name) for stats in done.values()) for name in ("bytes_in", "bytes_out"))
    return (
        f"{counted(images, 'image')} in {counted(len(done), 'shard')}, zoomed by `foveal zoom`: what matters in an image has more of its pixels "
        f"here. The originals have {pixels / 1e6:,.1f} megapixels and {there / 1e6:,.1f} MB, these shards {here / 1e6:,.1f} MB; names, "
        f"keys and order are the same. {' '.join(_losses(done, damaged)) or 'Nothing was left out.'}"
        f"{f' Without an index (`.idx`), as none can hold names with white space: {_first_of(without)}.' if without else ''}"
    )


def _losses(done: Mapping[str, ShardStats], damaged: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each way in which samples of the originals are missing."""
    failed = sum((Counter(stats.failed) for stats in done.values()), Counter[str]())
    if failed:
        left_out = ", ".join(f"{count:,} {status}" for status, count in failed.most_common())
        yield f"Left out: {left_out}; the reasons are in `*_samples.jsonl`."
    cut = [name for name, stats in done.items() if stats.cut]
    if cut:
        yield f"Cut originals, of which only what is whole is here: {_first_of(cut)}."
    lost, kept = ([name for name in damaged if (name in done) == there] for there in (False, True))
    if lost:
        yield f"Damaged originals, of which nothing is here: {_first_of(lost)}."
    if kept:
        yield f"Originals that were damaged after they had been zoomed, of which all is here that was zoomed: {_first_of(kept)}."


def _first_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(f"`{name}`" for name in names[:3]) + more


def _members(job: Job, done: Mapping[str, ShardStats], store: Store, unwarped: Sequence[Unwarped]) -> str:
    name = next((name for name, stats in done.items() if stats.ok), None)
    if name is None:
        return "No sample was zoomed."
    with Shards(store.url_of(name), storage_options=job.storage_options) as shards:
        members = ", ".join(f"`{member}`" for member in shards[0].members)
    warped = [*job.recipe.boxes, *job.recipe.points, *job.recipe.masks]
    follow = ", ".join(f"`{field}`" for field in warped)
    left = ", ".join(f"`{label.source}`" for label in unwarped)
    return (
        f"## Samples\n\nMembers: {members}. "
        f"{f'Labels in the frame of the zoomed image: {follow}; all others' if warped else 'Members beside the image'} "
        f"are as they were{'; labels that were still in the frame of the original were left out' if job.recipe.drop_labels else ''}. "
        "`zoom.json` is the zoom, which brings predictions back to the original (`foveal.sampler.ZoomRecord`)."
        f"{f' Still in the frame of the originals: {left}.' if left else ''}"
    )


def _settings(fingerprint: Mapping[str, object]) -> str:
    made = ", ".join(f"{name} {fingerprint[name]}" for name in _MACHINE if fingerprint.get(name))
    rows = [
        f"| {name} | {json.dumps(value, ensure_ascii=False)} |"
        for name, value in fingerprint.items()
        if name not in _MACHINE and value not in (None, [])
    ]
    return "\n".join(["## Settings", "", f"Made with {made}.", "", "| | |", "|---|---|", *rows])


def _ways(*, indexed: bool) -> str:
    how = "at random, by the .idx files, as DALI's readers.webdataset has them" if indexed else "at random"
    return f"""## Reading

```python
import datasets, webdataset

from foveal.shards import Shards

there = datasets.load_dataset("FOLDER")  # this card says which files are data
samples = webdataset.WebDataset("FOLDER/NAME.tar", shardshuffle=False).decode("pil")
shards = Shards("FOLDER/*.tar")  # {how}
```"""
