"""What a package turned out to be, once its wheels are installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from debship.build.dists import Dist
from debship.build.plan import BuildPlan, with_revision
from debship.build.wheel import Wheel
from debship.debian.versions import from_pep440
from debship.errors import Misused, Refused
from debship.model import Architecture, DebVersion

_ANCIENT = 946684800  # 2000: wheels with entries of 1980 carry no date at all
_SYSUSERS = "systemd | systemd-standalone-sysusers | systemd-sysusers"  # as dh_installsysusers


@dataclass(frozen=True, slots=True)
class Package:
    """The package: the plan, and what only its contents could tell.

    Attributes:
        dists: all that is installed, by name.
        application: the application's distribution.
        own: the same where its wheel was built here: its part carries ``date``. None where the application came from the lock like any other.
        date: seconds since 1970; the mtime of what is the application's.
        depends: relations.
        compiled: whether machine code is in it.
    """

    plan: BuildPlan
    version: DebVersion
    architecture: Architecture
    dists: tuple[Dist, ...]
    application: Dist
    own: Dist | None
    date: int
    depends: tuple[str, ...]
    compiled: bool

    def mtime(self, dist: Dist) -> int:
        """Give the date of a distribution's files: that of a dependency never moves."""
        return self.date if dist is self.own else self.plan.release.date


def describe(
    plan: BuildPlan,
    wheel: Wheel | None,
    dists: tuple[Dist, ...],
    *,
    code: Sequence[Path],
    libraries: Sequence[str],
) -> Package:
    """Put together what the package is.

    Args:
        plan: what is built.
        wheel: the application's own.
        dists: what is installed.
        code: the files that are machine code.
        libraries: relations to the packages of the shared libraries that it needs.

    Raises:
        Refused: the lock does not hold the application.
    """
    application = _application(plan, wheel, dists)
    pure = not code and all(dist.pure for dist in dists)
    upstream = from_pep440(application.version)
    return Package(
        plan=plan,
        version=plan.version or with_revision(upstream, plan.app, plan.release),
        architecture=Architecture("all") if pure else plan.machine,
        dists=dists,
        application=application,
        own=application if wheel else None,
        date=_date(plan, wheel),
        depends=_depends(plan, libraries),
        compiled=bool(code),
    )


def _application(plan: BuildPlan, wheel: Wheel | None, dists: Sequence[Dist]) -> Dist:
    installed = {dist.name: dist for dist in dists}
    if wheel is not None:
        return installed[wheel.name]
    text = plan.app.build.requirement or ""
    try:
        wanted = Requirement(text)
    except InvalidRequirement as error:
        raise Misused(f'build.requirement: "{text}" is not a requirement (PEP 508)') from error
    found = installed.get(canonicalize_name(wanted.name))
    if found is None or not wanted.specifier.contains(found.version, prereleases=True):
        has = f"{found.name} {found.version}" if found else f"no {wanted.name}"
        raise Refused(f'{plan.lock.path}: "{text}" is wanted, it has {has}', plan.lock.hint)
    return found


def _date(plan: BuildPlan, wheel: Wheel | None) -> int:
    """SOURCE_DATE_EPOCH, else git's commit, else the wheel's newest entry; never now."""
    if plan.date is not None:
        return plan.date
    newest = wheel.newest if wheel else 0
    return newest if newest > _ANCIENT else plan.release.date


def _depends(plan: BuildPlan, libraries: Sequence[str]) -> tuple[str, ...]:
    user = (_SYSUSERS,) if plan.units and plan.app.user != "root" else ()
    relations = (plan.python, *libraries, *user, *plan.app.run.depends)
    return tuple(dict.fromkeys(" ".join(relation.split()) for relation in relations))
