"""`debship inspect`."""

from pathlib import Path

import click

from debship.cli.output import show_json, show_lines


@click.command("inspect")
@click.argument("deb", metavar="DEB", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it for machines.")
def command(deb: Path, as_json: bool) -> None:
    """Show what is inside a .deb: what it needs, what it runs as whom, wheel by wheel.

    Any .deb will do. It is checked to its last byte, unpacked nowhere, and nothing of it runs.
    """
    from debship.inspect.contents import read_contents
    from debship.inspect.report import contents_lines

    contents = read_contents(deb)
    if as_json:
        show_json("inspect", contents.as_dict())
    else:
        show_lines(contents_lines(contents))
