"""What is looked at once it is known what the package is, before it appears."""

from collections.abc import Collection
from pathlib import Path

from debship.build.conffiles import check_version
from debship.build.files import unit_texts
from debship.build.maintainer_scripts import check_syntax, maintainer_scripts, read_snippets
from debship.build.package import Package
from debship.build.unit_files import check_units, sandbox_of
from debship.build.units import check_script, check_scripts
from debship.run import Run
from debship.templates import check_overrides


def check_package(package: Package, scripts: Collection[str]) -> None:
    """See what needs no program, before anything is written.

    Args:
        package: what is to be packed.
        scripts: that the virtualenv has.

    Raises:
        Refused: its version is below the last one, or what is to be started is no script of the
            virtualenv.
    """
    plan = package.plan
    if not plan.allow_older:
        check_version(package.version, plan.previous)
    if plan.app.build.templates:
        check_overrides(plan.app.build.templates)
    check_scripts(plan.units, scripts)
    for command in plan.app.run.commands:
        check_script(command, scripts, where="run.commands")


def review(package: Package, run: Run, *, folder: Path, root: Path) -> tuple[str, ...]:
    """Look at a package with the programs that will read it.

    Args:
        package: what is to be packed.
        run: the door to programs; where they have no systemd, it is not asked.
        folder: for temporary files that those programs see.
        root: where those programs lie, for this process.

    Returns:
        what its owner should know, a sentence each.

    Raises:
        Refused: systemd would not take a unit, or sh cannot read a maintainer script.
    """
    plan = package.plan
    if plan.units and (root / "usr/bin/systemd-analyze").exists():
        check_units(unit_texts(package), plan.prefix, run, folder=folder / "units")
    snippets = dict(read_snippets(plan.app.scripts))
    written = maintainer_scripts(package)
    if snippets or plan.app.build.templates:  # ours alone are known to be well
        check_syntax(written, snippets, run)
    relaxed = (
        f"{unit.service_file}: {relaxation}"
        for unit in plan.units
        for relaxation in sandbox_of(unit, plan.release, package.importable).relaxations
    )
    silent = [dist.name for dist in package.dists if not (dist.license or dist.license_files)]
    licences = (f"{', '.join(silent)}: nothing there says under which licence",) if silent else ()
    return (*relaxed, *licences, *(package.conffiles.notes if plan.previous else ()))
