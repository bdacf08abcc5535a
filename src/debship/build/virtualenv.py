"""The virtualenv: made by uv for the release's own Python, in the layout that hosts will see."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
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
        dists: what the lock names, by name.
        own: the application, where it was installed over what the lock names.
        compiled: whether one of them was compiled here.
        plain: whether each distribution would be the same without the others.
        lock: what uv read.
    """

    root: Path
    prefix: Path
    dists: tuple[Dist, ...] = ()
    own: Dist | None = None
    compiled: bool = False
    plain: bool = False
    lock: Path | None = None


def install(
    plan: BuildPlan, wheel: Wheel | None, own: Dist | None, folder: Path, uv: Uv
) -> Virtualenv:
    """Install the lock.

    Args:
        plan: what is built.
        wheel: the application's; only where it brings what the lock brings too is it installed as
            well, over it. None: it never is.
        own: the application, which counts as installed where what is installed is checked.
        folder: where ``root`` is made, what will be ``/`` on the hosts.
        uv: how uv is run; its date is that of dependencies that are compiled here.

    Raises:
        Refused: a dependency has no hash, or the lock does not hold what the application needs.
        Failed: uv could not install it.
    """
    empty = _empty(plan, folder / "root", uv)
    site = empty.root / plan.site.relative_to("/")
    with explained(plan):
        requirements = locked(plan.lock, plan.app, folder, uv)
    sync = ("pip", "sync", *_options(empty), "--require-hashes", "--allow-empty-requirements")
    words = (*sync, *uv.constraints, *selection(plan.lock, plan.app), requirements)
    with explained(plan):
        cwd = plan.lock.path.parent
        compiled = _install_locked(words, site, uv, cwd=cwd, cache=folder / "sdists")
    plain = not compiled and not rivals(site)
    dists = read_dists(empty.prefix, site, plan.python_here)
    whole = replace(empty, dists=dists, compiled=compiled, plain=plain, lock=requirements)
    if own is None or (wheel is None and own.name in {dist.name for dist in dists}):
        _check_complete(plan, whole, uv)
    elif wheel is not None and overlays(own, dists):
        whole = _overlaid(plan, whole, wheel, uv)
        _check_complete(plan, whole, uv)
    else:
        with _stand_in(own, site):
            _check_complete(plan, whole, uv)
    return whole


def install_some(plan: BuildPlan, some: Path, folder: Path, uv: Uv) -> Virtualenv | None:
    """Install a part of the lock, by itself.

    Args:
        plan: what is built.
        some: the part, in a lock of its own.
        folder: where ``root`` is made.
        uv: how uv is run.

    Returns:
        None where something of it must be compiled, or two of it bring one file.
    """
    empty = _empty(plan, folder / "root", uv)
    site = empty.root / plan.site.relative_to("/")
    sync = ("pip", "sync", *_options(empty), "--require-hashes", "--allow-empty-requirements")
    try:
        uv(*sync, *selection(plan.lock, plan.app), some, "--no-build", cwd=plan.lock.path.parent)
    except Failed:  # installing all says what is wrong
        return None
    if _compiled_here(site) or rivals(site):
        return None
    return replace(empty, dists=read_dists(empty.prefix, site, plan.python_here))


def _overlaid(plan: BuildPlan, virtualenv: Virtualenv, wheel: Wheel, uv: Uv) -> Virtualenv:
    """Install a wheel over what it shares files with; those become its own."""
    uv("pip", "install", *_options(virtualenv), "--no-deps", "--no-index", wheel.path)
    site = virtualenv.root / plan.site.relative_to("/")
    both = read_dists(virtualenv.prefix, site, plan.python_here)
    return replace(
        virtualenv,
        dists=tuple(dist for dist in both if dist.name != wheel.name),
        own=next(dist for dist in both if dist.name == wheel.name),
    )


def overlays(own: Dist, others: Sequence[Dist]) -> bool:
    """Tell whether a distribution brings what others bring too."""
    files = frozenset(own.files)
    return any(dist.name == own.name or not files.isdisjoint(dist.files) for dist in others)


def _empty(plan: BuildPlan, root: Path, uv: Uv) -> Virtualenv:
    prefix = root / plan.prefix.relative_to("/")
    prefix.parent.mkdir(parents=True)
    uv("venv", "--no-project", "--python", plan.interpreter, prefix)
    return Virtualenv(root, prefix)


def _options(virtualenv: Virtualenv) -> tuple[str | Path, ...]:
    # Links to uv's cache where it is on the same file system: nothing of them is written to.
    python = virtualenv.prefix / "bin/python"
    return ("--python", python, "--link-mode", "hardlink", "--no-compile-bytecode")


@contextlib.contextmanager
def _stand_in(dist: Dist, site: Path) -> Iterator[None]:
    """Tell uv that a distribution is there, what it is and what it needs, for a while."""
    info = site / f"{dist.name.replace('-', '_')}-{dist.version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {dist.name}", f"Version: {dist.version}"]
    lines += [f"Requires-Dist: {need}" for need in dist.needs]
    lines += [f"Requires-Python: {dist.needs_python}"] if dist.needs_python else []
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "METADATA").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    yield
    shutil.rmtree(info)


def _install_locked(words: Sequence[Word], site: Path, uv: Uv, *, cwd: Path, cache: Path) -> bool:
    """Install wheels as they are, and compile what exists only as an sdist.

    What somebody compiled before, for himself, with other flags, lies in his uv's cache: it is
    compiled again here, by rules of ours.

    Args:
        words: of the command that installs all.
        site: what it installs into.
        uv: how uv is run.
        cwd: where uv looks for its configuration.
        cache: a folder for what is compiled here.

    Returns:
        whether anything was.
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
    return bool(_compiled_here(site))


def _compiled_here(site: Path) -> tuple[str, ...]:
    """Name what uv built a wheel of: it leaves a mark in those."""
    marks = sorted(site.glob("*.dist-info/uv_build.json"))
    return tuple(canonicalize_name(mark.parent.name.partition("-")[0]) for mark in marks)


def _check_complete(plan: BuildPlan, virtualenv: Virtualenv, uv: Uv) -> None:
    try:
        uv("pip", "check", "--python", virtualenv.prefix / "bin/python")
    except Failed as error:
        raise Refused(
            f"{plan.lock.path}: it does not hold what the application needs\n{error.message}",
            plan.lock.hint,
        ) from error
