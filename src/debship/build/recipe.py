"""An application becomes a .deb: the whole of it, in order."""

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from debship.build.backends import trusted_backends
from debship.build.bundle import Bundle, bundle
from debship.build.cache import Cache
from debship.build.changelog import changelog
from debship.build.installed import Installed, files_of, installed_packages, of_every_host
from debship.build.layer import scripts
from debship.build.layers import Layers, Say
from debship.build.laying import Laid, lay, lay_split
from debship.build.lock import check_lock
from debship.build.package import Package, check_date, date_of, describe
from debship.build.papers import papers_of
from debship.build.places import check_taken
from debship.build.plan import BuildPlan
from debship.build.review import check_package, review
from debship.build.scratch import scratch_folder
from debship.build.space import told_if_full
from debship.build.split import joining_part
from debship.build.together import Together, check_folder, together
from debship.build.uv import Uv
from debship.build.wheel import Wheel, application_wheel, makes_wheel, run_command
from debship.debian.checksums import Checksums
from debship.errors import Failed, Refused
from debship.model import Deb
from debship.roots import RENEW
from debship.run import Run, without_passwords
from debship.templates import prepare

Check = Callable[[Sequence[Package], Sequence[Path]], None]

LEVEL = 19  # of what is packed once


@told_if_full
def build(
    plan: BuildPlan,
    output: Path,
    *,
    run: Run,
    say: Say,
    cache: Cache,
    level: int = LEVEL,
    root: Path = Path("/"),
    scratch: Path | None = None,
    check: Check | None = None,
) -> tuple[Deb, ...]:
    """Build one package, or in the split layout two.

    Args:
        plan: what to build.
        output: the folder that the .deb appears in, by a rename, once it is whole.
        run: the door to programs: of this machine, or of a clean root of the release.
        say: told what is being done.
        cache: what earlier builds kept; it saves time and changes no byte.
        level: of the compressor, for what the lock names; the application gets at most 9.
        root: what ``run`` calls ``/``, for this process.
        scratch: where temporary files go, for this process and for what ``run`` runs; None: where
            they always go.
        check: looks at the whole packages before they appear; what it raises keeps them away.

    Returns:
        the application's package first; two builds of the same input are the same bytes.

    Raises:
        Misused: the date cannot be a package's, or what the application names cannot be read.
        Failed: a program that the build needs failed.
        Refused: the package would break a promise, or cannot go to where it is to go.
    """
    check_date(plan)
    check_folder(output)
    check_lock(plan.lock, plan.app)
    with scratch_folder(scratch) as folder, ThreadPoolExecutor(3) as beside:
        beside.submit(prepare, "package")
        packages = installed_packages(run)
        check_needs(plan, packages, root)
        check_names(plan, packages, run)
        trusted = trusted_backends(plan.backends, plan.lock, folder) if makes_wheel(plan) else None
        date = plan.release.date if plan.date is None else plan.date
        uv = Uv(run, date, trusted, source=plan.app.directory)
        if plan.app.build.test:
            say(f"testing: {without_passwords(plan.app.build.test)}")
            run_command(plan.app.build.test, plan.app, uv, key="test")
        say(f"building the wheel of {plan.app.name}")
        libc = next((package.version for package in packages if package.name == "libc6"), "")
        wheel = application_wheel(plan, folder / "wheel", uv, root, libc=libc)
        making = Layers(plan, level, cache, folder / "layers", packages, run, say, root)
        laid = _laid(making, wheel, folder)
        # All of it is packed by now, and thousands of files take their time to go.
        beside.submit(shutil.rmtree, folder / "laid", ignore_errors=True)
        looking = beside.submit(_there, making, laid, output)
        made = _packages(plan, laid, date_of(plan, wheel))
        main = made[0]
        check_package(main, scripts(laid.all))
        say(f"writing {plan.app.name} {main.version}: {len(main.importable)} wheels")
        reviewing = beside.submit(review, main, run, folder=folder, root=root)
        bundles = [_application(made, laid, folder)]
        there = looking.result()
        if there is None and not laid.has_bytes:
            laid = lay_split(making, wheel, folder / "again", facts_alone=False)
        bundles += _dependencies(made, laid, folder, there)
        with together(output) as files:
            whole, sums = zip(*(_write(b, files, there, output) for b in bundles), strict=True)
            papers = papers_of(
                made,
                sums,
                changelog=changelog(main),
                installed=packages,
                tools={name: importlib.metadata.version(name) for name in ("debship", "uv")},
                lock_sha256=hashlib.sha256(plan.lock.path.read_bytes()).hexdigest(),
            )
            # Nothing has appeared yet; systemd-analyze takes longer than a small package.
            for note in reviewing.result():
                say(f"note: {note}")
            if check is not None:
                check(made, whole)
            for paper in papers:
                with files.open(paper.name) as (_, sink):
                    sink.write(paper.content)
            if laid.dependencies:
                _keep_sums(making, laid.dependencies, sums[1])
            # Who watches for .changes finds all that it names; who takes *.deb finds its papers.
            *others, last = (paper.name for paper in papers)
            debs = [s.name for s in reversed(sums) if s is not there]
            files.appear([*others, *debs, last])
        return tuple(b.deb(output, s) for b, s in zip(bundles, sums, strict=True))


def check_needs(plan: BuildPlan, packages: Sequence[Installed], root: Path = Path("/")) -> None:
    """See that what the build needs is there.

    Raises:
        Refused: a Debian package is not installed, nor one that provides it; the hint installs it.
        Failed: it is not in a clean root, which was made with it.
    """
    there = {package.name for package in packages}
    there |= {name for package in packages for name in package.provides}
    wanted = (plan.python, *plan.app.build.needs)
    missing = [need for need in wanted if need.partition(":")[0] not in there]
    if missing and root != Path("/"):
        raise Failed(
            f"a clean root lacks what it was made with: {', '.join(missing)}",
            f"the root is damaged: {RENEW}",
        )
    if missing:
        raise Refused(
            f"this machine lacks what the build needs: {', '.join(missing)}",
            f"apt-get install {' '.join(missing)}",
        )


def check_names(plan: BuildPlan, packages: Sequence[Installed], run: Run) -> None:
    """See that the package takes no name of the system.

    Raises:
        Refused: it is called as a package is that every host has, or brings a file of one.
    """
    app, system = plan.app, of_every_host(packages, plan.python)
    if app.name in system:
        raise Refused(
            f"app.name: {app.name} is a package of Debian that every host has",
            'call it otherwise: name = "NAME" under [app]',
        )
    commands = [f"/usr/bin/{command}" for command in app.run.commands]
    if paths := [*commands, *(str(file.path) for file in app.files)]:
        check_taken(paths, files_of(system, run))


def _laid(making: Layers, wheel: Wheel | None, folder: Path) -> Laid:
    if making.plan.app.layout == "whole":
        return lay(making, wheel, folder / "laid")
    return lay_split(making, wheel, folder / "laid", facts_alone=True)


def _there(making: Layers, laid: Laid, output: Path) -> Checksums | None:
    """Find the package of dependencies, where it lies there from an earlier build."""
    if laid.dependencies is None:
        return None
    kept = making.fact(*_deb_of(laid.dependencies))
    if kept is None:
        return None
    sums = Checksums(**json.loads(kept))
    return sums if sums == _sums_of(output / sums.name, sums) else None


def _sums_of(path: Path, kept: Checksums) -> Checksums | None:
    """Look whether a file is the one whose checksums were kept."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return replace(kept, sha256=sha256)


def _keep_sums(making: Layers, dependencies: BuildPlan, sums: Checksums) -> None:
    making.keep_fact(json.dumps(asdict(sums)), *_deb_of(dependencies))


def _deb_of(dependencies: BuildPlan) -> tuple[str, ...]:
    return ("deb", dependencies.app.name)


def _packages(plan: BuildPlan, laid: Laid, date: int) -> tuple[Package, ...]:
    """Say what the packages are, the application's first."""
    if laid.dependencies is None:
        return (describe(plan, laid.layers, laid.own, date),)
    dependencies = describe(laid.dependencies, laid.layers, None, plan.release.date)
    return describe(plan, (), laid.own, date, dependencies=dependencies), dependencies


def _application(packages: tuple[Package, ...], laid: Laid, folder: Path) -> Bundle:
    """Put the application's package together; in the split layout it needs no layer's bytes."""
    main, *others = packages
    own = [laid.own.packed] if laid.own else []
    if not others:
        return bundle(main, [*(layer.packed for layer in laid.layers), *own], folder / "bundle")
    mine, theirs = laid.own.dist if laid.own else None, others[0]
    joining = joining_part(main.plan, theirs.plan, mine, theirs.dists, main.date)
    return bundle(main, own, folder / "bundle", more=[joining])


def _dependencies(
    packages: tuple[Package, ...], laid: Laid, folder: Path, there: Checksums | None
) -> Iterator[Bundle]:
    """Put the package of dependencies together, if there is one; where it lies already, it has no parts."""
    for theirs in packages[1:]:
        layers = [layer.packed for layer in laid.layers]
        yield (
            Bundle(theirs, (), b"", folder) if there else bundle(theirs, layers, folder / "theirs")
        )


def _write(
    bundle: Bundle, files: Together, there: Checksums | None, output: Path
) -> tuple[Path, Checksums]:
    """Write a package, or leave it where it lies; give where its bytes are now, and their sums."""
    if there is not None and not bundle.parts:
        return output / there.name, there
    with files.open(bundle.filename) as (hidden, sink):
        sums = bundle.write(sink)
    return hidden, sums
