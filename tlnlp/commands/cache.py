"""`tlnlp cache`: says what the cache holds, and deletes it."""

from __future__ import annotations

import time

import tyro
from rich.console import Console
from rich.table import Table

from tlnlp.commands.arguments import CacheArguments
from tlnlp.data.cache_folder import CacheFolder, Entry, bound_bytes

# Units of time in seconds, largest first.
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp cache`."""
    asked = tyro.cli(CacheArguments, args=arguments, prog="tlnlp cache", config=(tyro.conf.FlagCreatePairsOff,))
    console, cache = Console(highlight=False), CacheFolder()
    if asked.clear or asked.above is not None:
        gone = cache.remove_above(0 if asked.clear else (asked.above or 0) * 1e9)
        console.print(f"{len(gone)} deleted, {size_of(gone)}, in {cache.folder}", markup=False, soft_wrap=True)
        return 0
    entries = cache.entries()
    if entries:
        table = Table("what", "of", "rows", "tokenizer", "size", "last used", box=None)
        for each in entries:
            about = each.about
            rows = f"{about['rows']:,}" if isinstance(about.get("rows"), int) else ""
            told = (each.kind, about.get("origin", ""), rows, about.get("tokenizer", ""))
            table.add_row(*map(str, told), size_of([each]), age_of(time.time() - each.used))
        console.print(table)
    bound = f"at most {bound_bytes() / 1e9:g} GB"
    console.print(f"{len(entries)} in {cache.folder}: {size_of(entries)}, {bound}", markup=False, soft_wrap=True)
    return 0


def size_of(entries: list[Entry]) -> str:
    """Returns the size of entries together, '12.3 MB'."""
    size = sum(each.bytes for each in entries)
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def age_of(seconds: float) -> str:
    """Returns '3 hours ago'."""
    for unit, length in UNITS:
        if (count := int(seconds // length)) > 0:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
