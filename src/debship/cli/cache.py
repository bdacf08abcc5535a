"""`debship cache`."""

import os

import click

from debship.cli.output import show_json


@click.command("cache")
@click.option("--clear", is_flag=True, help="Take everything away.")
@click.option("--limit", metavar="SIZE", help="How much may stay after a build, such as 4G.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def command(clear: bool, limit: str | None, as_json: bool) -> None:
    """Show what builds keep for later ones: each wheel, packed.

    What was not used for longest goes first when the limit is reached. The cache changes no byte
    of a package; it may be taken away at any time, while builds run too.
    """
    from debship.build.cache import Cache, cache_folder, parse_size

    cache = Cache(cache_folder(os.environ))
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
