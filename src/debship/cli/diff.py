"""`debship diff`."""

from pathlib import Path

import click

from debship.cli.output import show_json, show_lines


@click.command("diff")
@click.argument("before", metavar="DEB", type=click.Path(path_type=Path))
@click.argument("after", metavar="DEB", type=click.Path(path_type=Path))
@click.option("--exit-code", is_flag=True, help="Exit with 1 where they differ.")
@click.option("--json", "as_json", is_flag=True, help="Print it for machines.")
@click.pass_context
def command(
    context: click.Context, *, before: Path, after: Path, exit_code: bool, as_json: bool
) -> None:
    """Show what changed from one .deb to another, wheel by wheel.

    Dates do not count. Exits with 0 whether they differ or not, as git diff does.
    """
    from debship.inspect.contents import read_contents
    from debship.inspect.difference import difference
    from debship.inspect.report import difference_lines

    found = difference(read_contents(before), read_contents(after))
    if as_json:
        show_json("diff", found.as_dict())
    else:
        show_lines(difference_lines(found))
    context.exit(1 if exit_code and found else 0)
