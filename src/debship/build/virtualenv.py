"""The virtualenv: made by uv for the release's own Python, in the layout that hosts will see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from debship.build.complaints import explained
from debship.build.dists import Dist, read_dists, rivals
from debship.build.lock import locked, selection
from debship.build.plan import BuildPlan
from debship.build.uv import Uv
from debship.build.wheel import Wheel
from debship.errors import Failed, Refused
from debship.run import Word


@dataclass(frozen=True, slots=True)
class Virtualenv:
    """What was installed.

    Attributes:
        root: what will be ``/`` on the hosts; the virtualenv lies where it will lie there.
        prefix: the virtualenv, below ``root``.
    """

    root: Path
    prefix: Path
    dists: tuple[Dist, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of every distribution, where it lies now."""
        return tuple(self.prefix / file for dist in self.dists for file in dist.files)

    @property
    def scripts(self) -> frozenset[str]:
        """What a service may start with."""
        files = (file for dist in self.dists for file in dist.files)
        installed = (file.removeprefix("bin/") for file in files if file.startswith("bin/"))
        return frozenset({*installed, "python", "python3"})


def install(plan: BuildPlan, wheel: Wheel | None, folder: Path, uv: Uv) -> Virtualenv:
    """Install the lock, and the application's wheel on top of it.

    Args:
        plan: what is built.
        wheel: the application's; None where the lock names it.
        folder: an empty one, for what will be ``/`` on the hosts.
        uv: how uv is run; its date is that of dependencies that are compiled here.

    Raises:
        Refused: a dependency has no hash, or the lock does not hold what the application needs.
        Failed: uv could not install it.
    """
    root = folder / "root"
    prefix = root / plan.prefix.relative_to("/")
    python = prefix / "bin/python"
    prefix.parent.mkdir(parents=True)
    uv("venv", "--no-project", "--python", plan.interpreter, prefix)
    options = ("--python", python, "--link-mode", "copy", "--no-compile-bytecode")
    requirements = locked(plan.lock, plan.app, folder, uv)
    sync = ("pip", "sync", *options, "--require-hashes", "--allow-empty-requirements")
    words = (*sync, *uv.constraints, *selection(plan.lock, plan.app), requirements)
    site = root / plan.site.relative_to("/")
    with explained(plan):
        _install_locked(words, site, uv, cwd=plan.lock.path.parent, cache=folder / "sdists")
    if wheel is not None:
        uv("pip", "install", *options, "--no-deps", "--no-index", wheel.path)
    _check_complete(plan, python, uv)
    return Virtualenv(root, prefix, read_dists(prefix, site, str(plan.prefix)))


def _install_locked(words: Sequence[Word], site: Path, uv: Uv, *, cwd: Path, cache: Path) -> None:
    """Install wheels as they are, and compile what exists only as an sdist.

    What somebody compiled before, for himself, with other flags, lies in his uv's cache: it is
    compiled again here, by rules of ours.

    Args:
        words: of the command that installs all.
        site: what it installs into.
        uv: how uv is run.
        cwd: where uv looks for its configuration.
        cache: a folder for what is compiled here.
    """
    compiling = replace(uv, cache=cache, source=cache)
    try:
        uv(*words, "--no-build", cwd=cwd)
        built = _compiled_here(site)
    except Failed as error:
        if "--no-build" not in error.message.partition("\n")[2]:
            raise
        uv, built = compiling, ()
        uv(*words, cwd=cwd)
    if built:
        again = (word for name in built for word in ("--reinstall-package", name))
        compiling(*words, *again, cwd=cwd)
    for name in rivals(site):
        uv(*words, "--reinstall-package", name, cwd=cwd)


def _compiled_here(site: Path) -> tuple[str, ...]:
    """Name what uv built a wheel of: it leaves a mark in those."""
    marks = sorted(site.glob("*.dist-info/uv_build.json"))
    return tuple(canonicalize_name(mark.parent.name.partition("-")[0]) for mark in marks)


def _check_complete(plan: BuildPlan, python: Path, uv: Uv) -> None:
    try:
        uv("pip", "check", "--python", python)
    except Failed as error:
        raise Refused(
            f"{plan.lock.path}: it does not hold what the application needs\n{error.message}",
            plan.lock.hint,
        ) from error
