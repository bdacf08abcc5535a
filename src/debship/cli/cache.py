"""`debship cache`, and where debship keeps what it made and can make again."""

import os
from functools import partial
from pathlib import Path
from typing import Any

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
    """Show what builds keep for later ones: each wheel, packed, and clean roots of releases.

    Of the wheels, what was not used for longest goes first when the limit is reached; a root goes
    when it was not used for a month and another is made. The cache changes no byte of a package; it
    may be cleared at any time: what a build uses meanwhile stays for it.
    """
    from debship.build.cache import LAYERS, Cache, parse_size
    from debship.kept_roots import kept_roots, sweep
    from debship.roots import remove
    from debship.run import run

    cache = Cache(cache_folder() / LAYERS)
    if limit is not None:
        cache.set_limit(parse_size(limit))
        cache.sweep()
    if clear:
        cache.clear()
        sweep(cache_folder() / "roots", partial(remove, run=run), unused=0)
    roots = kept_roots(cache_folder() / "roots")
    usage = cache.usage
    if as_json:
        facts: dict[str, Any] = {"folder": str(cache.folder), "entries": usage.entries}
        facts |= {"size": usage.size, "limit": usage.limit}
        facts["roots"] = [{"path": str(root.path), "used": int(root.used)} for root in roots]
        show_json("cache", facts)
        return
    rows: dict[str, Any] = {"folder": cache.folder, "entries": usage.entries}
    rows |= {"size": _size(usage.size), "limit": _size(usage.limit)}
    rows["roots"] = ", ".join(root.path.name for root in roots) or "none"
    for name, value in rows.items():
        print(f"{name:<8} {value}")


def _size(size: int) -> str:
    number, units = float(size), ["B", "KiB", "MiB", "GiB"]
    while number >= 1024 and len(units) > 1:
        number, units = number / 1024, units[1:]
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.1f} {units[0]}"
