"""An application becomes a .deb: the whole of it, in order."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from debship.build.backends import trusted_backends
from debship.build.cache import Cache
from debship.build.changelog import changelog
from debship.build.control import control_tar
from debship.build.files import template_part
from debship.build.installed import Installed, installed_packages
from debship.build.layers import Layer, Layers, Say, scripts
from debship.build.lock import identity
from debship.build.maintainer_scripts import config_folders
from debship.build.origins import Origin
from debship.build.package import Package, date_of, describe
from debship.build.papers import papers_of
from debship.build.parts import Packed, Part, pack, skeleton
from debship.build.plan import BuildPlan
from debship.build.review import review
from debship.build.scratch import scratch_folder
from debship.build.space import told_if_full
from debship.build.together import together
from debship.build.units import check_scripts
from debship.build.unpacked import check_has_all, unpack
from debship.build.uv import Uv
from debship.build.virtualenv import Virtualenv, install, overlays
from debship.build.wheel import Wheel, application_wheel, makes_wheel, run_command
from debship.debian.archive_writer import END_OF_TAR, write_ar
from debship.debian.checksums import checksums_of_file
from debship.debian.compression import Segment, compress, joined
from debship.errors import Refused
from debship.model import Deb
from debship.run import Run

Check = Callable[[Package, Path], None]

# zstd: dependencies are packed once, the application each time.
LEVEL = 19
LEVEL_OF_APPLICATION = 9


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
) -> Deb:
    """Build one package.

    Args:
        plan: what to build.
        output: the folder that the .deb appears in, by a rename, once it is whole.
        run: the door to programs: of this machine, or of a clean root of the release.
        say: told what is being done.
        cache: what earlier builds kept; it saves time and changes no byte.
        level: of the compressor, for what the lock names; the application gets at most 9.
        root: where the release's own files lie, for this process.
        scratch: where temporary files go, for this process and for what ``run`` runs; None: where
            they always go.
        check: looks at the whole package before it appears; what it raises keeps it away.

    Returns:
        the package; two builds of the same input are the same bytes.

    Raises:
        Failed: a program that the build needs failed.
        Refused: the package would break a promise.
    """
    packages = installed_packages(run)
    check_needs(plan, packages)
    with scratch_folder(scratch) as folder:
        trusted = trusted_backends(plan.backends, plan.lock, folder) if makes_wheel(plan) else None
        date = plan.release.date if plan.date is None else plan.date
        uv = Uv(run, date, trusted, source=plan.app.directory)
        if plan.app.build.test:
            say(f"testing: {plan.app.build.test}")
            run_command(plan.app.build.test, plan.app, uv, key="test")
        say(f"building the wheel of {plan.app.name}")
        wheel = application_wheel(plan, folder / "wheel", uv)
        making = Layers(plan, level, cache, folder / "layers", packages, run, say, root)
        layers, own = _layers(plan, wheel, making, folder, Uv(run, plan.release.date))
        startable = scripts((*layers, own) if own else layers)
        check_scripts(plan.units, startable)
        package = describe(plan, layers, own, date_of(plan, wheel))
        for note in review(package, startable, run, folder=folder, root=root):
            say(f"note: {note}")
        say(f"writing {plan.app.name} {package.version}: {len(package.dists)} wheels")
        parts = [layer.packed for layer in layers]
        parts += [own.packed] if own else []
        parts.append(_pack(template_part(package), plan, folder))
        parts.insert(0, _pack(skeleton(plan, parts, config_folders(plan)), plan, folder))
        data = [*(part.segment for part in parts), _end_of_tar(plan, folder)]
        return _write(
            package, control_tar(package, parts), data, output, packages=packages, check=check
        )


def check_needs(plan: BuildPlan, packages: Iterable[Installed]) -> None:
    """See that this machine has what the build needs.

    Raises:
        Refused: a Debian package is not installed; the hint installs it.
    """
    there = {package.name for package in packages}
    wanted = (plan.python, *plan.app.build.needs)
    missing = [need for need in wanted if need.partition(":")[0] not in there]
    if missing:
        raise Refused(
            f"this machine lacks what the build needs: {', '.join(missing)}",
            f"apt-get install {' '.join(missing)}",
        )


def _layers(
    plan: BuildPlan, wheel: Wheel | None, making: Layers, folder: Path, uv: Uv
) -> tuple[tuple[Layer, ...], Layer | None]:
    """Give the layers of the lock, and that of the application's wheel."""
    lock = identity(plan.lock, plan.app)
    alone = unpack(plan, wheel, folder / "alone") if wheel else None
    own = alone.own if alone else None
    layers = making.of_lock(lock)
    dists = tuple(layer.dist for layer in layers or ())
    if layers is None or (own is not None and overlays(own, dists)):
        making.say(f"installing {plan.lock.path.name}")
        trusted = trusted_backends(plan.backends, plan.lock, folder)
        whole = install(plan, wheel, own, folder, replace(uv, backends=trusted))
        layers, dists = making.of_installed(whole, lock), whole.dists
        alone = whole if whole.own else alone
    elif own is not None:
        check_has_all(plan, own, dists, making.version(plan.python))
    if wheel is None or alone is None:
        return layers, None
    return layers, _own_layer(making, replace(alone, dists=dists), wheel)


def _own_layer(making: Layers, installed: Virtualenv, wheel: Wheel) -> Layer:
    assert installed.own is not None
    level = min(making.level, LEVEL_OF_APPLICATION)
    layer = making.make([installed.own], installed, date_of(making.plan, wheel), level)[0]
    # A wheel that is built here has the modes of its files from the umask and the checkout: the
    # same input gives the same files, which RECORD names, and not the same archive.
    settings = making.plan.app.build
    hashes = (wheel.sha256,) if settings.wheel and not settings.command else ()
    return replace(layer, origin=Origin(wheel.path.name, hashes))


def _pack(part: Part, plan: BuildPlan, folder: Path) -> Packed:
    return pack(part, folder / f"{part.name}.part", plan.release.compression, LEVEL_OF_APPLICATION)


def _end_of_tar(plan: BuildPlan, folder: Path) -> Segment:
    def write(tar: IO[bytes]) -> None:
        tar.write(END_OF_TAR)

    return compress(write, folder / "_end.part", plan.release.compression, LEVEL_OF_APPLICATION)


def _write(
    package: Package,
    control: bytes,
    data: Sequence[Segment],
    output: Path,
    *,
    packages: Sequence[Installed],
    check: Check | None,
) -> Deb:
    """Let the package and its papers appear, together or not at all."""
    plan = package.plan
    name, version, architecture = plan.app.name, package.version, package.architecture
    deb = Deb(output, name, version, architecture, size=0, sha256="")
    with together(output) as files:
        with files.open(deb.filename) as (hidden, sink):
            suffix = plan.release.compression
            pieces = tuple(joined(data, suffix))
            write_ar(sink, control=control, data=pieces, suffix=suffix, mtime=package.date)
            sink.flush()
            sums = checksums_of_file(deb.filename, hidden)
            if check is not None:
                check(package, hidden)
        papers = papers_of(
            [package],
            [sums],
            changelog=changelog(package),
            installed=packages,
            tools={name: importlib.metadata.version(name) for name in ("debship", "uv")},
            lock_sha256=hashlib.sha256(plan.lock.path.read_bytes()).hexdigest(),
        )
        for paper in papers:
            with files.open(paper.name) as (_, sink):
                sink.write(paper.content)
        # Who watches for .changes finds all that it names; who takes *.deb finds its papers.
        *others, last = (paper.name for paper in papers)
        files.appear([*others, deb.filename, last])
    return replace(deb, path=output / deb.filename, size=sums.size, sha256=sums.sha256)
