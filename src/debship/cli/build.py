"""`debship build`."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from debship.cli import build_checks
from debship.cli.cache import cache_folder
from debship.cli.ending import ended_cleanly
from debship.cli.output import progress, show_json

if TYPE_CHECKING:
    from debship.build.plan import BuildPlan
    from debship.model import Deb


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
    "--release",
    "codenames",
    metavar="R",
    multiple=True,
    help="Build for this release, in a clean root of it; may be given several times "
    "[default: what releases of [build] says, else this machine's, without a root].",
)
@click.option(
    "--smoke/--no-smoke",
    default=None,
    help="Install each package in another clean root of its release and see that it works "
    "[default: where it is built in one].",
)
@click.option(
    "--level",
    type=click.IntRange(1, 19),
    default=19,
    show_default=True,
    help="How hard to compress what the lock names: once, for it is kept (debship cache).",
)
@click.option(
    "--previous",
    metavar="WHAT",
    envvar="DEBSHIP_PREVIOUS",
    help="The package that hosts have: a .deb, or the suite whose newest it is. What changed in "
    "configuration files since is handled and said, and a version below it is refused.",
)
@click.option(
    "--store",
    metavar="STORE",
    help="Where the suite of --previous lies. Left out: DEBSHIP_STORE, or the nearest fleet.toml.",
)
@click.option("--allow-older", is_flag=True, help="Take a version below that of --previous.")
@click.option(
    "--verify",
    "twice",
    is_flag=True,
    help="Build twice, elsewhere and under other circumstances, and compare every byte.",
)
@click.option(
    "--lint", "linted", is_flag=True, help="Fail where lintian finds an error or a warning."
)
@click.option("-v", "--verbose", is_flag=True, help="Name the slowest steps at the end.")
@click.option("--plan", "only_plan", is_flag=True, help="Print what would be built, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def command(
    *,
    directory: Path,
    output: Path | None,
    codenames: tuple[str, ...],
    smoke: bool | None,
    level: int,
    previous: str | None,
    store: str | None,
    allow_older: bool,
    twice: bool,
    linted: bool,
    verbose: bool,
    only_plan: bool,
    as_json: bool,
) -> None:
    """Turn an application and its lock into a .deb for each release.

    Prints the path of each .deb. Its papers lie beside it under its name: a bill of materials
    (.cdx.json), .buildinfo, .changes, and where it came from (.provenance.json).
    """
    from debship.build.cache import LAYERS, Cache
    from debship.build.plan import look_around, plan_build
    from debship.build.recipe import build
    from debship.cli.kept_app import read_app_once
    from debship.cli.previous import read_what_hosts_have
    from debship.debian.releases import release, this_machine
    from debship.run import run

    cache = Cache(cache_folder() / LAYERS)
    app = read_app_once(directory, cache)
    if codenames:
        app = replace(app, build=replace(app.build, releases=tuple(dict.fromkeys(codenames))))
    releases = [release(name) for name in app.build.releases]
    wanted = releases or [this_machine(Path("/etc/os-release").read_text())]
    seen = look_around(app, environment=os.environ, run=run)
    before = read_what_hosts_have(previous, store, app, wanted, seen.architecture)
    plans = [
        plan_build(app, one, replace(seen, previous=had, allow_older=allow_older))
        for one, had in zip(wanted, before, strict=True)
    ]
    if only_plan:
        _show_plans(plans, as_json)
        return
    output = output or directory / "dist"
    debs: tuple[Deb, ...]
    with ended_cleanly(), progress(slowest=verbose) as say:
        if not releases and not smoke:
            debs = build(plans[0], output, run=run, say=say, cache=cache, level=level)
        else:
            # Roots are entered by code that a build for this machine need not load.
            from debship.build.releases import Workshop, build_here, build_in_roots

            shop = Workshop(cache_folder(), os.environ, run, say, level)
            if releases:
                debs = build_in_roots(plans, output, shop, smoke=smoke is not False)
            else:
                debs = build_here(plans[0], output, shop)
        if linted:
            build_checks.lint(debs, say)
        # The first was tried already, where it was to be; trying changes no byte.
        options = ["--no-smoke", "--level", str(level)]
        options += [*(w for name in codenames for w in ("--release", name))]
        options += ["--previous", previous] if previous else []
        options += ["--store", store] if store else []
        options += ["--allow-older"] if allow_older else []
        verdict = build_checks.verify(plans[0], debs, options, say) if twice else None
    if as_json:
        packages = [_facts(deb) for deb in debs]
        show_json("build", {"packages": packages} | ({"verified": verdict} if verdict else {}))
    elif verdict:
        build_checks.show_verdict(verdict)
    else:
        print(*(deb.path for deb in debs), sep="\n")


def _facts(deb: "Deb") -> dict[str, Any]:
    from debship.build.papers import papers_beside

    return {
        "path": str(deb.path),
        "package": deb.package,
        "version": str(deb.version),
        "architecture": deb.architecture,
        "size": deb.size,
        "sha256": deb.sha256,
        "papers": [str(path) for path in papers_beside(deb)],
    }


def _show_plans(plans: Sequence["BuildPlan"], as_json: bool) -> None:
    if as_json:
        show_json("build --plan", {"packages": [_rows(plan) for plan in plans]})
        return
    for number, plan in enumerate(plans):
        if number:
            print()
        for name, value in _rows(plan).items():
            if isinstance(value, dict):
                value = [f"{unit}: {line}" for unit, line in value.items()]  # noqa: PLW2901
            for line in value if isinstance(value, list) else [value]:
                if line is not None:
                    print(f"{name:<22} {line}")


def _rows(plan: "BuildPlan") -> dict[str, Any]:
    from debship.build.conffiles import compare
    from debship.build.releases import build_packages
    from debship.build.units import command_line
    from debship.run import without_passwords

    settings = plan.app.build
    wheel = settings.requirement or settings.command or settings.wheel or "uv build --wheel"
    return {
        "package": plan.app.name,
        "version": str(plan.version) if plan.version else "the wheel's",
        "release": plan.release.codename,
        "root": " ".join(build_packages(plan)) if settings.releases else None,
        "interpreter": str(plan.interpreter),
        "prefix": str(plan.prefix),
        "lock": str(plan.lock.path),
        "test": without_passwords(settings.test) if settings.test else None,
        "wheel": without_passwords(wheel),
        "hashes of what builds it": str(plan.backends) if plan.backends else None,
        "date": plan.date,
        "user": plan.app.user if plan.units else None,
        "units": {name: command_line(unit.words) for unit in plan.units for name in unit.names},
        "previous": str(plan.previous.version) if plan.previous else None,
        "commands": [f"/usr/bin/{name}" for name in plan.app.run.commands],
        "files": [str(file.path) for file in plan.app.files],
        "conffiles": [str(config.path) for config in plan.app.configs if not config.managed],
        "conffiles change": list(compare(plan.app, plan.previous).notes),
        "written by the deploy": [str(c.path) for c in plan.app.configs if c.managed],
    }
