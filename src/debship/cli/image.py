"""`debship image`: the container image from the same .deb."""

import os
import sys
from pathlib import Path

import click

from debship.cli.ending import ended_cleanly
from debship.cli.output import progress, show_json


@click.command()
@click.argument("deb", type=click.Path(path_type=Path))
@click.option("--tag", required=True, help="What the image is called.")
@click.option("--base", help="The image it starts from; left out: its release's own.")
@click.option("--service", help="Which of several services it runs.")
@click.option("--network", help="What the build sees of the network, as docker has it.")
@click.option("--push", is_flag=True, help="Push it.")
@click.option("--plan", "plan_only", is_flag=True, help="Print the Dockerfile and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON envelope.")
def command(
    *,
    deb: Path,
    tag: str,
    base: str | None,
    service: str | None,
    network: str | None,
    push: bool,
    plan_only: bool,
    as_json: bool,
) -> None:
    """Make a container image from a .deb.

    It runs the package's service as the service's user. Configuration stays outside: mount it.
    """
    from debship.image.build import build_image, find_builder
    from debship.image.contents import read_contents
    from debship.image.plan import plan_image
    from debship.run import run

    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    builder = "buildkit" if plan_only else find_builder(run)
    plan = plan_image(
        read_contents(deb.resolve()),
        tag,
        base=base,
        service=service,
        network=network,
        push=push,
        builder=builder,
        date=int(epoch) if epoch.isdecimal() else None,
    )
    if plan_only:
        print(plan.dockerfile, end="")
        return
    with ended_cleanly(), progress() as say:
        image = build_image(plan, builder, run=run, say=say)
    if as_json:
        show_json("image", {"id": image, "tag": tag, "package": plan.deb.filename})
    else:
        print(image)
    print(f"run it: {plan.usage}", file=sys.stderr)
