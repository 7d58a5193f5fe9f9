"""``foveal index``: write the index of each shard beside it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from foveal.shards import ShardError, Shards, expand_urls, write_index
from foveal.shards.naming import is_remote
from foveal.tools.console.counted import counted
from foveal.tools.console.distribute import Distribute, in_turn
from foveal.tools.console.progress import progress_bar

_LONGEST_TABLE = 40


def index_shards(
    urls: Sequence[str],
    *,
    force: bool = False,
    distribute: Distribute = in_turn,
    console: Console | None = None,
) -> None:
    """Write an index beside every shard, and print how many samples each holds.

    Args:
        urls: Shards, as ``expand_urls`` understands them.
        force: Rebuild indexes that are already up to date.
        distribute: Where shards are indexed.
        console: Where it is printed; None for standard output.

    Raises:
        ShardError: Some shards could not be indexed. The error names the first and counts the others; each is also
            printed. All other shards are indexed.
    """
    console = console or Console(soft_wrap=True, highlight=False, markup=False)
    local = [url for url in urls if not is_remote(url)]
    # These are refused as they are: a pattern need not be looked up for that.
    remote = [url for url in urls if is_remote(url)]
    paths = [*remote, *(expand_urls(local) if local or not remote else [])]
    with progress_bar(console) as progress:
        tried = progress.track(
            distribute(_try_to_write, force, paths), total=len(paths), description="Indexing"
        )
        errors = {path: error for path, error in tried if error is not None}
    failed = {path: errors[path] for path in paths if path in errors}
    indexed = [path for path in paths if path not in failed]
    if indexed:
        _print_counts(console, Shards(indexed))
    if failed:
        first, *others = failed.values()
        for error in others:
            console.print(str(error))
        more = f"; and {len(others)} more of {len(paths)} shards have none" if others else ""
        raise ShardError(first.url, first.key, f"{first.reason}{more}")


def _try_to_write(force: bool, path: str) -> ShardError | None:
    try:
        write_index(path, force=force)
    except ShardError as error:
        return error
    return None


def _print_counts(console: Console, shards: Shards) -> None:
    if len(shards.urls) <= _LONGEST_TABLE:
        table = Table("samples", "shard", box=None, pad_edge=False)
        table.columns[0].justify = "right"
        for path, count in zip(shards.urls, shards.counts, strict=True):
            table.add_row(f"{count:,}", path)
        console.print(table)
    console.print(
        f"{counted(len(shards), 'sample')} in {counted(len(shards.urls), 'shard')}, each with its index beside it"
    )
