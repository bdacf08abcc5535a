"""What a package turned out to be, once its wheels are installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from debship.build.conffiles import Conffiles, compare
from debship.build.dists import Dist
from debship.build.layer import Layer
from debship.build.origins import Origin
from debship.build.plan import BuildPlan, with_revision
from debship.build.wheel import Wheel
from debship.debian.relations import strongest
from debship.debian.versions import from_pep440
from debship.errors import Misused, Refused
from debship.model import Architecture, DebVersion

_LAST_DATE = (1 << 33) - 1  # what a header of tar has digits for; in the year 2242
_ANCIENT = 946684800  # 2000: wheels with entries of 1980 carry no date at all
_SYSUSERS = "systemd | systemd-standalone-sysusers | systemd-sysusers"  # as dh_installsysusers


@dataclass(frozen=True, slots=True)
class Package:
    """The package: the plan, and what only its contents could tell.

    Attributes:
        dists: all that is installed, by name.
        application: the application's distribution; None in the package of dependencies.
        own: the same where its wheel was built here: its part carries ``date``. None where the
            application came from the lock like any other.
        date: seconds since 1970; the mtime of what is the application's.
        depends: relations.
        compiled: whether machine code is in it.
        conffiles: its configuration files, and what becomes of those of the version before.
        origins: by a distribution's name, what it was installed from.
        beside: what lies in the package of its dependencies, where those have one.
    """

    plan: BuildPlan
    version: DebVersion
    architecture: Architecture
    dists: tuple[Dist, ...]
    application: Dist | None
    own: Dist | None
    date: int
    depends: tuple[str, ...]
    compiled: bool
    conffiles: Conffiles = field(default_factory=Conffiles)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    beside: tuple[Dist, ...] = ()

    @property
    def importable(self) -> tuple[Dist, ...]:
        """All that the application can import, whichever package it lies in."""
        return (*self.dists, *self.beside)


def describe(
    plan: BuildPlan,
    layers: Sequence[Layer],
    own: Layer | None,
    date: int,
    *,
    dependencies: "Package | None" = None,
) -> Package:
    """Put together what the package is.

    Args:
        plan: what is built.
        layers: what the lock names, as far as this package holds it.
        own: what the application's wheel became; None where the lock names the application.
        date: seconds since 1970.
        dependencies: the package that holds the rest.

    Raises:
        Refused: the lock does not hold the application.
    """
    everything = (*layers, own) if own else tuple(layers)
    dists = tuple(sorted((layer.dist for layer in everything), key=lambda dist: dist.name))
    beside = dependencies.dists if dependencies else ()
    code = any(layer.code for layer in everything)
    pure = not code and all(dist.pure for dist in dists)
    libraries = strongest(r for layer in everything for r in layer.libraries.relations)
    exactly = (f"{dependencies.plan.app.name} (= {dependencies.version})",) if dependencies else ()
    application = own.dist if own else _application(plan, (*dists, *beside))
    return Package(
        plan=plan,
        version=_version(plan, application),
        architecture=Architecture("all") if pure else plan.machine,
        dists=dists,
        application=application,
        own=own.dist if own else None,
        date=date,
        depends=_depends(plan, (*exactly, *libraries)),
        compiled=code,
        origins={layer.dist.name: layer.origin for layer in everything},
        conffiles=compare(plan.app, plan.previous),
        beside=beside,
    )


def _version(plan: BuildPlan, application: Dist | None) -> DebVersion:
    if plan.version is not None:
        return plan.version
    assert application is not None  # a package of dependencies is planned with its version
    return with_revision(from_pep440(application.version), plan.app, plan.release)


def _application(plan: BuildPlan, dists: Sequence[Dist]) -> Dist | None:
    if plan.serves is not None:
        return None
    installed = {dist.name: dist for dist in dists}
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


def date_of(plan: BuildPlan, wheel: Wheel | None) -> int:
    """Give SOURCE_DATE_EPOCH, else git's commit, else the wheel's newest entry; never now."""
    if plan.date is not None:
        return plan.date
    newest = wheel.newest if wheel else 0
    return newest if newest > _ANCIENT else plan.release.date


def check_date(plan: BuildPlan) -> None:
    """See that files can bear the date.

    Raises:
        Misused: they cannot.
    """
    if plan.date is not None and plan.date > _LAST_DATE:
        raise Misused(
            f"SOURCE_DATE_EPOCH: {plan.date} is later than a package can say",
            "seconds since 1970, such as: git log -1 --format=%ct",
        )


def _depends(plan: BuildPlan, libraries: Sequence[str]) -> tuple[str, ...]:
    user = (_SYSUSERS,) if plan.units and plan.app.user != "root" else ()
    relations = (plan.python, *libraries, *user, *plan.app.run.depends)
    return tuple(dict.fromkeys(" ".join(relation.split()) for relation in relations))
