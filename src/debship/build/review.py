"""What is looked at once it is known what the package is, before anything of it is written."""

from collections.abc import Collection
from pathlib import Path

from debship.build.conffiles import check_version
from debship.build.files import unit_texts
from debship.build.maintainer_scripts import check_syntax, maintainer_scripts, read_snippets
from debship.build.package import Package
from debship.build.unit_files import check_units, sandbox_of
from debship.build.units import check_script
from debship.run import Run


def review(
    package: Package, scripts: Collection[str], run: Run, *, folder: Path, root: Path
) -> tuple[str, ...]:
    """Look at a package for what no plan could see.

    Args:
        package: what is to be packed.
        scripts: that the virtualenv has.
        run: the door to programs; where they have no systemd, it is not asked.
        folder: for temporary files that those programs see.
        root: where those programs lie, for this process.

    Returns:
        what its owner should know, a sentence each.

    Raises:
        Refused: its version is below the last one, a command is no script of the virtualenv,
            systemd would not take a unit, or sh cannot read a maintainer script.
    """
    plan = package.plan
    if not plan.allow_older:
        check_version(package.version, plan.previous)
    for command in plan.app.run.commands:
        check_script(command, scripts, where="run.commands")
    if plan.units and (root / "usr/bin/systemd-analyze").exists():
        check_units(unit_texts(package), plan.prefix, run, folder=folder / "units")
    snippets = dict(read_snippets(plan.app.scripts))
    check_syntax(maintainer_scripts(package), snippets, run)
    relaxed = (
        f"{unit.service_file}: {relaxation}"
        for unit in plan.units
        for relaxation in sandbox_of(unit, plan.release, package.importable).relaxations
    )
    return (*relaxed, *(package.conffiles.notes if plan.previous else ()))
