"""``foveal index``: write the index of each shard beside it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from foveal.shards import Shards, expand_urls, write_index
from foveal.tools.console.progress import progress_bar

_LONGEST_TABLE = 40


def index_shards(urls: Sequence[str], *, force: bool = False) -> None:
    """Write an index beside every shard, and print how many samples each holds.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        force: Rebuild indexes that are already up to date.

    Raises:
        ShardError: A shard that cannot be read. Those before it keep their indexes.
    """
    console = Console()
    paths = expand_urls(urls)
    with progress_bar(console) as progress:
        for path in progress.track(paths, description="Indexing"):
            write_index(path, force=force)
    shards = Shards(paths)
    if len(paths) <= _LONGEST_TABLE:
        table = Table("samples", "shard", box=None, pad_edge=False)
        table.columns[0].justify = "right"
        for path, count in zip(shards.urls, shards.counts, strict=True):
            table.add_row(f"{count:,}", path)
        console.print(table)
    console.print(f"{len(shards):,} samples in {len(paths):,} shards, each with its index beside it")
