"""`debship build`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from debship.cli import build_checks
from debship.cli.output import progress, show_json

if TYPE_CHECKING:
    from debship.build.plan import BuildPlan


@click.command("build")
@click.argument(
    "directory",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
)
@click.option(
    "--output",
    metavar="OUT",
    type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
    help="The folder that the .deb goes to [default: DIRECTORY/dist].",
)
@click.option(
    "--verify",
    "twice",
    is_flag=True,
    help="Build twice, elsewhere and under other circumstances, and compare every byte.",
)
@click.option(
    "--lint", "linted", is_flag=True, help="Fail where lintian finds an error or a warning."
)
@click.option("--plan", "only_plan", is_flag=True, help="Print what would be built, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def command(
    *,
    directory: Path,
    output: Path | None,
    twice: bool,
    linted: bool,
    only_plan: bool,
    as_json: bool,
) -> None:
    """Turn an application and its lock into a .deb for this machine's release.

    Prints the path of the .deb. Its papers lie beside it under its name: a bill of materials
    (.cdx.json), .buildinfo, .changes, and where it came from (.provenance.json).
    """
    from debship.build.papers import papers_beside
    from debship.build.plan import look_around, plan_build
    from debship.build.recipe import build
    from debship.config.app_file import read_app
    from debship.debian.releases import this_machine
    from debship.run import run

    app = read_app(directory)
    release = this_machine(Path("/etc/os-release").read_text())
    plan = plan_build(app, release, look_around(app, environment=os.environ, run=run))
    if only_plan:
        _show_plan(plan, as_json)
        return
    with progress() as say:
        deb = build(plan, output or directory / "dist", run=run, say=say)
        verdict = build_checks.verify(plan, [deb], (), say) if twice else None
        if linted:
            build_checks.lint([deb], say)
    if as_json:
        facts = {
            "path": str(deb.path),
            "package": deb.package,
            "version": str(deb.version),
            "architecture": deb.architecture,
            "size": deb.size,
            "sha256": deb.sha256,
            "papers": [str(path) for path in papers_beside(deb)],
        }
        result = {"packages": [facts]} | ({"verified": verdict} if verdict else {})
        show_json("build", result)
    elif verdict:
        build_checks.show_verdict(verdict)
    else:
        print(deb.path)


def _show_plan(plan: "BuildPlan", as_json: bool) -> None:
    from debship.build.units import command_line

    settings = plan.app.build
    rows: dict[str, Any] = {
        "package": plan.app.name,
        "version": str(plan.version) if plan.version else "the wheel's",
        "release": plan.release.codename,
        "interpreter": str(plan.interpreter),
        "prefix": str(plan.prefix),
        "lock": str(plan.lock.path),
        "test": settings.test,
        "wheel": settings.requirement or settings.command or settings.wheel or "uv build --wheel",
        "date": plan.date,
        "user": plan.app.user if plan.units else None,
        "units": {name: command_line(unit.words) for unit in plan.units for name in unit.names},
        "conffiles": [str(config.path) for config in plan.app.configs if not config.managed],
        "written by the deploy": [str(c.path) for c in plan.app.configs if c.managed],
    }
    if as_json:
        show_json("build --plan", rows)
        return
    for name, value in rows.items():
        if isinstance(value, dict):
            value = [f"{unit}: {line}" for unit, line in value.items()]  # noqa: PLW2901
        for line in value if isinstance(value, list) else [value]:
            if line is not None:
                print(f"{name:<22} {line}")
