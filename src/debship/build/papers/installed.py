"""Which Debian packages took part in a build."""

from collections.abc import Sequence

from debship.build.installed import Installed, relation_names
from debship.build.package import Package

# What finds shared libraries; nothing else of Debian's is run but the interpreter.
_SHLIBDEPS = ("dpkg-dev", "binutils")


def took_part(installed: Sequence[Installed], packages: Sequence[Package]) -> tuple[Installed, ...]:
    """Pick the packages that might have had a part in a build, as deb-buildinfo(5) wants them.

    All essential ones, what the build needs and runs, the packages of the libraries that were
    found, and whatever these depend on; sorted by name.
    """
    providers: dict[str, list[Installed]] = {}
    for candidate in installed:
        for name in (candidate.name, *candidate.provides):
            providers.setdefault(name, []).append(candidate)
    plan = packages[0].plan
    wanted = [candidate.name for candidate in installed if candidate.essential]
    wanted += [plan.python, *(need.partition(":")[0] for need in plan.app.build.needs)]
    for relation in (relation for package in packages for relation in package.depends):
        wanted += relation_names(relation)
    if any(package.compiled for package in packages):
        wanted += _SHLIBDEPS
    found: set[Installed] = set()
    while wanted:
        for provider in providers.get(wanted.pop(), ()):
            if provider not in found:
                found.add(provider)
                wanted += provider.needs
    return tuple(sorted(found, key=lambda package: (package.name, package.architecture)))
