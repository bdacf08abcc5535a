"""An application becomes a .deb: the whole of it, in order."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

from debship.build.cache import Cache
from debship.build.control import config_folders, control_tar
from debship.build.files import template_part
from debship.build.layers import Layer, Layers, Say, scripts
from debship.build.lock import locked as locked_file
from debship.build.lock import read_locked
from debship.build.package import Package, date_of, describe
from debship.build.parts import Packed, Part, pack, skeleton
from debship.build.plan import BuildPlan
from debship.build.units import check_scripts
from debship.build.uv import Uv
from debship.build.virtualenv import install, install_alone
from debship.build.wheel import Wheel, application_wheel, run_command
from debship.debian.archive_writer import END_OF_TAR, write_ar
from debship.debian.compression import Segment, compress, joined
from debship.errors import Refused
from debship.model import Deb
from debship.run import Run

# zstd: dependencies are packed once, the application each time.
LEVEL = 19
LEVEL_OF_APPLICATION = 9


def build(
    plan: BuildPlan, output: Path, *, run: Run, say: Say, cache: Cache, level: int = LEVEL
) -> Deb:
    """Build one package.

    Args:
        plan: what to build.
        output: the folder that the .deb appears in, by a rename, once it is whole.
        run: the door to programs.
        say: told what is being done.
        cache: what earlier builds kept; it saves time and changes no byte.
        level: of the compressor, for what the lock names; the application gets at most 9.

    Returns:
        the package; two builds of the same input are the same bytes.

    Raises:
        Failed: a program that the build needs failed.
        Refused: the package would break a promise.
    """
    check_needs(plan, run)
    with tempfile.TemporaryDirectory(prefix="debship-") as name:
        folder = Path(name).resolve()
        uv = Uv(run, plan.release.date if plan.date is None else plan.date)
        if plan.app.build.test:
            say(f"testing: {plan.app.build.test}")
            run_command(plan.app.build.test, plan.app, uv, key="test")
        say(f"building the wheel of {plan.app.name}")
        wheel = application_wheel(plan, folder / "wheel", uv)
        making = Layers(plan, level, cache, folder / "layers", run, say)
        layers, own = _layers(plan, wheel, making, folder, run)
        check_scripts(plan.units, scripts((*layers, own) if own else layers))
        package = describe(plan, wheel, layers, own)
        say(f"writing {plan.app.name} {package.version}: {len(package.dists)} wheels")
        parts = [layer.packed for layer in layers]
        parts += [own.packed] if own else []
        parts.append(_pack(template_part(package), plan, folder))
        parts.insert(0, _pack(skeleton(plan, parts, config_folders(plan)), plan, folder))
        data = [*(part.segment for part in parts), _end_of_tar(plan, folder)]
        return _write(package, control_tar(package, parts), data, output)


def check_needs(plan: BuildPlan, run: Run) -> None:
    """See that this machine has what the build needs.

    Raises:
        Refused: a Debian package is not installed; the hint installs it.
    """
    wanted = (plan.python, *plan.app.build.needs)
    asked = run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted], check=False
    )
    there = {line.removesuffix(" installed") for line in asked.text.splitlines()}
    missing = [need for need in wanted if need.partition(":")[0] not in there]
    if missing:
        raise Refused(
            f"this machine lacks what the build needs: {', '.join(missing)}",
            f"apt-get install {' '.join(missing)}",
        )


def _layers(
    plan: BuildPlan, wheel: Wheel | None, making: Layers, folder: Path, run: Run
) -> tuple[tuple[Layer, ...], Layer | None]:
    """Give the layers of the lock, and that of the application's wheel."""
    uv = Uv(run, plan.release.date)
    locked = read_locked(locked_file(plan.lock, plan.app, folder, uv))
    layers, installed = making.of_lock(locked), None
    if layers is not None and wheel is not None:
        installed = install_alone(plan, wheel, [layer.dist for layer in layers], folder, uv)
    if layers is None or (wheel is not None and installed is None):
        making.say(f"installing {plan.lock.path.name}")
        installed = install(plan, wheel, locked, folder, uv)
        layers = making.of_installed(installed, locked)
    if installed is None or installed.own is None:
        return layers, None
    level = min(making.level, LEVEL_OF_APPLICATION)
    return layers, making.make([installed.own], installed, date_of(plan, wheel), level)[0]


def _pack(part: Part, plan: BuildPlan, folder: Path) -> Packed:
    return pack(part, folder / f"{part.name}.part", plan.release.compression, LEVEL_OF_APPLICATION)


def _end_of_tar(plan: BuildPlan, folder: Path) -> Segment:
    def write(tar: IO[bytes]) -> None:
        tar.write(END_OF_TAR)

    return compress(write, folder / "_end.part", plan.release.compression, LEVEL_OF_APPLICATION)


def _write(package: Package, control: bytes, data: Sequence[Segment], output: Path) -> Deb:
    plan = package.plan
    name, version, architecture = plan.app.name, package.version, package.architecture
    path = output / Deb(output, name, version, architecture, size=0, sha256="").filename
    output.mkdir(parents=True, exist_ok=True)
    with _appearing(path) as (hidden, sink):
        suffix = plan.release.compression
        pieces = tuple(joined(data, suffix))
        write_ar(sink, control=control, data=pieces, suffix=suffix, mtime=package.date)
        sink.flush()
        with hidden.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = hidden.stat().st_size
    return Deb(path, name, version, architecture, size, digest)


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Write beside ``path``; it appears there once it is whole and on the disk, or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    hidden = Path(name)
    try:
        with open(descriptor, "wb") as sink:  # noqa: PTH123 - a descriptor has no Path
            yield hidden, sink
            sink.flush()
            os.fchmod(sink.fileno(), 0o644)
            os.fsync(sink.fileno())
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
