"""`debship cache`, and where debship keeps what it made and can make again."""

import os
from pathlib import Path

import click

from debship.cli.output import show_json


def cache_folder() -> Path:
    """Give DEBSHIP_CACHE, or the system's place for root, or the user's (XDG)."""
    if named := os.environ.get("DEBSHIP_CACHE"):
        return Path(named).resolve()
    if os.geteuid() == 0:
        return Path("/var/cache/debship")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "debship"


@click.command("cache")
@click.option("--clear", is_flag=True, help="Take everything away.")
@click.option("--limit", metavar="SIZE", help="How much may stay after a build, such as 4G.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def command(clear: bool, limit: str | None, as_json: bool) -> None:
    """Show what builds keep for later ones: each wheel, packed.

    What was not used for longest goes first when the limit is reached. The cache changes no byte
    of a package; it may be taken away at any time, while builds run too.
    """
    from debship.build.cache import LAYERS, Cache, parse_size

    cache = Cache(cache_folder() / LAYERS)
    if limit is not None:
        cache.set_limit(parse_size(limit))
        cache.sweep()
    if clear:
        cache.clear()
    usage = cache.usage
    if as_json:
        facts = {"folder": str(cache.folder), "entries": usage.entries}
        show_json("cache", {**facts, "size": usage.size, "limit": usage.limit})
        return
    rows = {"folder": cache.folder, "entries": usage.entries}
    rows |= {"size": _size(usage.size), "limit": _size(usage.limit)}
    for name, value in rows.items():
        print(f"{name:<8} {value}")


def _size(size: int) -> str:
    number, units = float(size), ["B", "KiB", "MiB", "GiB"]
    while number >= 1024 and len(units) > 1:
        number, units = number / 1024, units[1:]
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.1f} {units[0]}"
