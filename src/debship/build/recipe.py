"""An application becomes a .deb: the whole of it, in order."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO

from debship.build.control import config_folders, control_tar
from debship.build.dists import Dist
from debship.build.files import template_part
from debship.build.libraries import machine_code, shared_libraries
from debship.build.package import Package, describe
from debship.build.parts import Packed, Part, pack, skeleton, wheel_part
from debship.build.plan import BuildPlan
from debship.build.units import check_scripts
from debship.build.uv import Uv
from debship.build.virtualenv import Virtualenv, install
from debship.build.wheel import application_wheel, run_command
from debship.debian.archive_writer import END_OF_TAR, write_ar
from debship.debian.compression import Segment, compress, joined
from debship.errors import Refused
from debship.model import Deb
from debship.run import Run

Say = Callable[[str], None]
Check = Callable[[Package, Path], None]

LEVEL = 9  # zstd: 3 s and 38.5 MB for 122 MB; 12 takes twice the time and gains one percent


def build(
    plan: BuildPlan,
    output: Path,
    *,
    run: Run,
    say: Say,
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
        root: what ``run`` calls ``/``, for this process.
        scratch: where temporary files go, for this process and for what ``run`` runs; None: where
            they always go.
        check: looks at the whole package before it appears; what it raises keeps it away.

    Returns:
        the package; two builds of the same input are the same bytes.

    Raises:
        Failed: a program that the build needs failed.
        Refused: the package would break a promise.
    """
    check_needs(plan, run)
    with tempfile.TemporaryDirectory(prefix="debship-", dir=scratch) as name:
        folder = Path(name).resolve()
        uv = Uv(run, plan.release.date if plan.date is None else plan.date)
        if plan.app.build.test:
            say(f"testing: {plan.app.build.test}")
            run_command(plan.app.build.test, plan.app, uv, key="test")
        say(f"building the wheel of {plan.app.name}")
        wheel = application_wheel(plan, folder / "wheel", uv, root)
        say(f"installing {plan.lock.path.name}")
        installed = install(plan, wheel, folder, Uv(run, plan.release.date))
        check_scripts(plan.units, installed.scripts)
        say("looking for shared libraries")
        code = machine_code(installed.files, root / plan.interpreter.relative_to("/"))
        libraries = shared_libraries(code, installed.root, folder / "shlibs", run)
        package = describe(plan, wheel, installed.dists, code=code, libraries=libraries)
        say(f"packing {plan.app.name} {package.version}: {len(package.dists)} wheels")
        parts = _pack_wheels(package, installed, folder, run)
        parts.append(_pack(template_part(package), plan, folder))
        parts.insert(0, _pack(skeleton(plan, parts, config_folders(plan)), plan, folder))
        data = [*(part.segment for part in parts), _end_of_tar(plan, folder)]
        return _write(package, control_tar(package, parts), data, output, check)


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


def _pack_wheels(package: Package, installed: Virtualenv, folder: Path, run: Run) -> list[Packed]:
    """Compile and compress each wheel's part, the biggest first; give them by name, ours last."""

    def packed(dist: Dist) -> Packed:
        part = wheel_part(dist, installed, package.plan, package.mtime(dist), run)
        return _pack(part, package.plan, folder)

    by_name = sorted(package.dists, key=lambda dist: (dist is package.own, dist.name))
    by_size = sorted(by_name, key=lambda dist: -len(dist.files))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = dict(zip((dist.name for dist in by_size), pool.map(packed, by_size), strict=True))
    return [done[dist.name] for dist in by_name]


def _pack(part: Part, plan: BuildPlan, folder: Path) -> Packed:
    return pack(part, folder / f"{part.name}.part", plan.release.compression, LEVEL)


def _end_of_tar(plan: BuildPlan, folder: Path) -> Segment:
    def write(tar: IO[bytes]) -> None:
        tar.write(END_OF_TAR)

    return compress(write, folder / "_end.part", plan.release.compression, LEVEL)


def _write(
    package: Package,
    control: bytes,
    data: Sequence[Segment],
    output: Path,
    check: Check | None,
) -> Deb:
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
        if check is not None:
            check(package, hidden)
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
