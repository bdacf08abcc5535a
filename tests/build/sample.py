"""A small application whose wheels are made here: nothing is downloaded."""

import base64
import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from debship.build.cache import Cache
from debship.build.plan import Surroundings, plan_build
from debship.build.recipe import build
from debship.config.app import App, BuildSettings, ConfigFile, ExtraFile, RunSettings, Service
from debship.debian.releases import Release
from debship.model import Architecture, Deb, PackageName
from debship.run import run

DATE = 1700000000


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, bytes | str] | None = None,
    scripts: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    tag: str = "py3-none-any",
    python: str = ">=3",
) -> Path:
    """Write a wheel by hand."""
    info = f"{name}-{version}.dist-info"
    pure = "true" if tag.endswith("-any") else "false"
    contents: dict[str, bytes | str] = {f"{name}/__init__.py": f"VERSION = {version!r}\n"}
    contents |= files or {}
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: about {name}\n"
        f"Requires-Python: {python}\n"
        "License: MIT\nAuthor: Ann\n" + "".join(f"Requires-Dist: {need}\n" for need in requires)
    )
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    )
    contents[f"{info}/licenses/LICENSE"] = "Do what you want.\n"
    if scripts:
        lines = "".join(f"{script} = {name}:main\n" for script in scripts)
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    record = []
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            content = text.encode() if isinstance(text, str) else text
            archive.writestr(zipfile.ZipInfo(file, (2024, 5, 6, 7, 8, 10)), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.append(f"{file},sha256={digest.decode()},{len(content)}\n")
        archive.writestr(
            zipfile.ZipInfo(f"{info}/RECORD", (2024, 5, 6, 7, 8, 10)),
            "".join(record) + f"{info}/RECORD,,\n",
        )
    return path


def lock_wheels(folder: Path, *wheels: Path) -> Path:
    """Write a requirements.txt that names these wheels, each with its hash."""
    lines = [
        "--no-index",
        *sorted({f"--find-links {os.path.relpath(wheel.parent, folder)}" for wheel in wheels}),
    ]
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{digest}")
    path = folder / "requirements.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Sample:
    """An application in a folder, ready to be built."""

    app: App
    release: Release
    machine: Architecture
    output: Path
    cache: Path | None = None
    level: int = 3

    def build(self, app: App | None = None, *, output: Path | None = None, **seen: object) -> Deb:
        """Build the application's package, and where it has one that of its dependencies."""
        return self.build_all(app, output=output, **seen)[0]

    def build_all(
        self, app: App | None = None, *, output: Path | None = None, **seen: object
    ) -> tuple[Deb, ...]:
        app = app or self.app
        files = frozenset(path.name for path in app.directory.iterdir())
        around = Surroundings(self.machine, files, **{"source_date_epoch": DATE, **seen})
        plan = plan_build(app, self.release, around)
        cache = Cache(self.cache or self.output.parent / "cache")
        return build(
            plan,
            output or self.output,
            run=run,
            say=lambda step: None,
            cache=cache,
            level=self.level,
        )

    def with_build(self, **settings: object) -> App:
        return replace(self.app, build=replace(self.app.build, **settings))  # type: ignore[arg-type]


def make_sample(
    folder: Path, release: Release, machine: Architecture, version: str = "1.0"
) -> Sample:
    folder.mkdir(parents=True, exist_ok=True)
    dependency = make_wheel(
        folder / "wheels",
        "lib_a",
        files={
            "lib_a/deep.py": "WORDS = {'x', 'y'}\n\ndef f(a):\n    return a in {'one', 'two'}\n",
            "lib_a/" + "n" * 120 + "/data.txt": "a long name\n",
            "lib_a/broken.py": "print 'Python 2'\n",
            "lib_a-1.0.data/scripts/lib-env": "#!/usr/bin/env python3\nprint('env')\n",
            "shared/__init__.py": "WHO = 'a'\n",
        },
    )
    other = make_wheel(folder / "wheels", "lib_b", files={"shared/__init__.py": "WHO = 'b'\n"})
    make_wheel(
        folder / "dist",
        "tiny",
        version,
        files={
            "tiny/__init__.py": "from tiny.app import main\n",
            "tiny/app.py": "def main():\n    print('tiny')\n\nfrom lib_a import deep\n",
        },
        scripts=("tiny-web", "tiny-job"),
        requires=("lib_a", "lib_b"),
    )
    lock_wheels(folder, dependency, other)
    (folder / "tiny.conf").write_text("workers = 2\n")
    app = App(
        directory=folder,
        name=PackageName("tiny"),
        summary="Tiny service",
        maintainer="Platform Team <platform@example.com>",
        build=BuildSettings(wheel="dist/*.whl"),
        configs=(
            ConfigFile(PurePosixPath("/etc/mycompany/tiny/tiny.conf"), folder / "tiny.conf", False),
            ConfigFile(PurePosixPath("/etc/mycompany/tiny/secrets.env"), None, True),
        ),
        services=(
            Service("tiny", "tiny-web --port 8101", port=8101),
            Service("tiny-job", "tiny-job", kind="timer", schedule="daily"),
        ),
    )
    return Sample(app, release, machine, folder / "out")


def rich(sample: Sample) -> App:
    """The sample with everything that a package can have."""
    folder = sample.app.directory
    (folder / "first.sh").write_text('#!/bin/sh\n# The database is there from now on.\n: "$1"\n')
    (folder / "tool").write_text("#!/bin/sh\necho tool\n")
    (folder / "schema.sql").write_text("select 1;\n")
    moved = ConfigFile(
        PurePosixPath("/etc/mycompany/tiny/log.conf"),
        folder / "tiny.conf",
        managed=False,
        moved_from=PurePosixPath("/etc/tiny-log.conf"),
    )
    return replace(
        sample.app,
        description="It is small.\n\nAnd it is a service.",
        homepage="https://tiny.example.com/",
        run=RunSettings(depends=("adduser",), commands=("tiny-job",)),
        configs=(*sample.app.configs, moved),
        files=(
            ExtraFile(PurePosixPath("/usr/share/tiny/schema.sql"), folder / "schema.sql"),
            ExtraFile(PurePosixPath("/usr/libexec/tiny/tool"), folder / "tool", 0o755),
        ),
        scripts=tuple(
            (name, folder / "first.sh") for name in ("preinst", "postinst", "prerm", "postrm")
        ),
        services=(
            Service("tiny", "tiny-web", port=80, socket=True),
            Service("tiny-work", "tiny-job --work", kind="worker", instances=2),
            Service("tiny-job", "tiny-job", kind="timer", schedule="daily"),
            Service("tiny-once", "tiny-job --once", kind="oneshot"),
        ),
    )
