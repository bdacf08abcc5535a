"""What a package turned out to be, once its wheels are installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from debship.build.conffiles import Conffiles, compare
from debship.build.dists import Dist
from debship.build.layers import Layer
from debship.build.origins import Origin
from debship.build.plan import BuildPlan, with_revision
from debship.build.wheel import Wheel
from debship.debian.relations import strongest
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
        own: the application's distribution where its wheel was built here; its part carries
            ``date``. None where the application came from the lock like any other.
        date: seconds since 1970; the mtime of what is the application's.
        depends: relations.
        compiled: whether machine code is in it.
        conffiles: its configuration files, and what becomes of those of the version before.
        origins: by a distribution's name, what it was installed from.
    """

    plan: BuildPlan
    version: DebVersion
    architecture: Architecture
    dists: tuple[Dist, ...]
    own: Dist | None
    date: int
    depends: tuple[str, ...]
    compiled: bool
    conffiles: Conffiles = field(default_factory=Conffiles)
    origins: Mapping[str, Origin] = field(default_factory=dict)


def describe(plan: BuildPlan, layers: Sequence[Layer], own: Layer | None, date: int) -> Package:
    """Put together what the package is.

    Args:
        plan: what is built.
        layers: what the lock names.
        own: what the application's wheel became; None where the lock names the application.
        date: seconds since 1970.

    Raises:
        Refused: the lock does not hold the application.
    """
    everything = (*layers, own) if own else tuple(layers)
    dists = tuple(sorted((layer.dist for layer in everything), key=lambda dist: dist.name))
    application = own.dist if own else _application(plan, dists)
    code = any(layer.code for layer in everything)
    pure = not code and all(dist.pure for dist in dists)
    upstream = from_pep440(application.version)
    libraries = strongest(r for layer in everything for r in layer.libraries.relations)
    return Package(
        plan=plan,
        version=plan.version or with_revision(upstream, plan.app, plan.release),
        architecture=Architecture("all") if pure else plan.machine,
        dists=dists,
        own=own.dist if own else None,
        date=date,
        depends=_depends(plan, libraries),
        compiled=code,
        origins={layer.dist.name: layer.origin for layer in everything},
        conffiles=compare(plan.app, plan.previous),
    )


def _application(plan: BuildPlan, dists: Sequence[Dist]) -> Dist:
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


def _depends(plan: BuildPlan, libraries: Sequence[str]) -> tuple[str, ...]:
    user = (_SYSUSERS,) if plan.units and plan.app.user != "root" else ()
    relations = (plan.python, *libraries, *user, *plan.app.run.depends)
    return tuple(dict.fromkeys(" ".join(relation.split()) for relation in relations))
