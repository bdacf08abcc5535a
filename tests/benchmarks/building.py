"""`make bench-build`: debship beside its peers, in one run on one machine.

The application is a service with Flask, gunicorn, boto3, SQLAlchemy, cryptography and numpy; its own
wheel is made before each run, and not counted for anybody. uv's cache is warm. Prints a table with
the ratios that matter, and writes the same as JSON. What is not installed here is left out, and
said. Nothing of it goes to an index but through uv and pip, as they are configured.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.docker_engine import engine

TOP = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
SMALL = ("1.1.0", "1.0.1", "1.0.0", "0.10.0")  # of jmespath, a small dependency: what changes
NEEDS = ("flask", "gunicorn", "boto3", "sqlalchemy", "cryptography", "numpy")
_SLOW = "PYTHONDONTWRITEBYTECODE"  # everybody's Python is compiled, as pip leaves it

DEBSHIP_TOML = """\
[app]
name = "auth"
summary = "Authentication service"
maintainer = "Platform Team <platform@example.com>"
layout = "{layout}"
[build]
wheel = "dist/*.whl"
[[service]]
exec = "gunicorn --bind 127.0.0.1:8101 auth:app"
port = 8101
"""
PYPROJECT = """\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"
[project]
name = "auth"
version = "{version}"
dependencies = {needs}
[tool.setuptools]
package-dir = {{ "" = "src" }}
"""
DOCKERFILE = """\
FROM bench-build-base
COPY requirements.txt .
RUN python3 -m venv /venv && /venv/bin/pip install --quiet -r requirements.txt
COPY src /app
ENV PYTHONPATH=/app
CMD ["/venv/bin/gunicorn", "--bind", "0.0.0.0:8101", "auth:app"]
"""


@dataclass(frozen=True)
class Row:
    """One figure: seconds of the clock, of the processors, bytes of memory, bytes of the file."""

    what: str
    runs: int
    seconds: float
    processor: float
    memory: int
    size: int | None = None
    slowest: float = 0.0


class Watch:
    """The most memory that a process and its children take together (PSS), in bytes."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most, self.over = pid, 0, False
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.over:
            self.most = max(self.most, sum(map(_pss, _tree(self.pid))))
            time.sleep(0.02)

    def stop(self) -> int:
        self.over = True
        self.thread.join()
        return self.most


def _tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.split("\nPss:")[1].split()[0]) * 1024
    return 0


def measured(
    what: str,
    argv: list[str],
    *,
    runs: int,
    before: Callable[[int], None] = lambda number: None,
    result: Callable[[], Path] | None = None,
    watch: bool = False,
    **settings: object,
) -> Row:
    """Run a command several times; give the medians."""
    walls, processors, memory = [], [], 0
    for number in range(runs):
        before(number)
        used = os.times()
        start = time.monotonic()
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **settings,  # type: ignore[call-overload]
        )
        looking = Watch(process.pid) if watch else None
        said, _ = process.communicate()
        walls.append(time.monotonic() - start)
        memory = max(memory, looking.stop() if looking else 0)
        now = os.times()
        processors.append(
            now.children_user + now.children_system - used.children_user - used.children_system
        )
        if process.returncode != 0:
            raise SystemExit(
                f"{what}: {' '.join(argv)} failed\n{said.decode(errors='replace')[-3000:]}"
            )
    row = Row(
        what,
        runs,
        statistics.median(walls),
        statistics.median(processors),
        memory,
        result().stat().st_size if result else None,
        max(walls),
    )
    show(row)
    return row


def show(row: Row) -> None:
    size = "" if row.size is None else f"{row.size / 1e6:9.3f} MB"
    memory = f"{row.memory / 1e6:6.0f} MB of memory" if row.memory else ""
    print(
        f"{row.what:<46} {row.seconds:8.2f} s  {row.processor:8.2f} s of processors "
        f"{size:>12}  {memory}",
        flush=True,
    )


class Bench:
    """The application, and the tools that package it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = folder / "auth"
        self.bin = Path(sys.executable).parent
        self.environment = {name: value for name, value in os.environ.items() if name != _SLOW}
        self.environment |= {
            "UV_PYTHON_DOWNLOADS": "never",
            "DEBSHIP_CACHE": str(folder / "cache"),
            "SOURCE_DATE_EPOCH": "1700000000",
        }
        self.edits = 0

    def run(self, *argv: object, cwd: Path | None = None) -> str:
        words = [str(word) for word in argv]
        done = subprocess.run(
            words, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def make(self) -> None:
        """Write the application and its locks; warm uv's cache."""
        (self.app / "src/auth").mkdir(parents=True)
        for small in SMALL:
            self.lock(small)
            self.run(
                self.bin / "uv",
                "venv",
                "--quiet",
                "--clear",
                "--python",
                PYTHON,
                self.folder / "warm",
            )
            self.run(
                *(self.bin / "uv", "pip", "sync", "--quiet", "--require-hashes"),
                *("--python", self.folder / "warm/bin/python", self.app / "requirements.txt"),
            )
        shutil.rmtree(self.folder / "warm")
        self.layout("whole")
        self.lock(SMALL[0])
        self.edit()

    def layout(self, layout: str) -> None:
        (self.app / "debship.toml").write_text(DEBSHIP_TOML.format(layout=layout))

    def lock(self, small: str) -> None:
        wanted = "\n".join((*NEEDS, f"jmespath=={small}"))
        (self.folder / "in.txt").write_text(wanted)
        words = ("pip", "compile", "--quiet", "--generate-hashes", "--python", PYTHON)
        kept = self.folder / f"lock-{small}.txt"
        if not kept.exists():
            self.run(self.bin / "uv", *words, self.folder / "in.txt", "-o", kept)
        shutil.copy(kept, self.app / "requirements.txt")

    def edit(self) -> None:
        """Change the code, and make the wheel anew."""
        self.edits += 1
        code = f"from flask import Flask\napp = Flask(__name__)\nEDIT = {self.edits}\n"
        (self.app / "src/auth/__init__.py").write_text(code)
        project = PYPROJECT.format(version=f"1.0.{self.edits}", needs=json.dumps(NEEDS))
        (self.app / "pyproject.toml").write_text(project)
        for made in ("dist", "build"):
            shutil.rmtree(self.app / made, ignore_errors=True)
        self.run(self.bin / "uv", "build", "--quiet", "--wheel", "--python", PYTHON, self.app)

    def debship(self, level: int, output: str = "out") -> list[str]:
        words = ("build", self.app, "--level", level, "--output", self.folder / output)
        return [str(self.bin / "debship"), *map(str, words)]

    def empty(self) -> None:
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def deb(self, name: str, output: str = "out") -> Path:
        found = (self.folder / output).glob(f"{name}_*.deb")
        return max(found, key=lambda path: path.stat().st_mtime_ns)


def ours(bench: Bench, runs: int) -> list[Row]:
    env = {"env": bench.environment}
    rows = [
        measured(
            "debship, first build, level 9",
            bench.debship(9),
            runs=2,
            before=lambda number: bench.empty(),
            result=lambda: bench.deb("auth"),
            watch=True,
            **env,
        ),
    ]
    bench.run(*bench.debship(9))
    rows.append(
        measured(
            "debship, code alone changed, level 9",
            bench.debship(9),
            runs=runs,
            before=lambda number: bench.edit(),
            result=lambda: bench.deb("auth"),
            **env,
        )
    )

    def change(number: int) -> None:
        bench.lock(SMALL[1 + number])

    rows.append(
        measured(
            "debship, one small dependency changed, level 9",
            bench.debship(9),
            runs=len(SMALL) - 1,
            before=change,
            result=lambda: bench.deb("auth"),
            **env,
        )
    )
    bench.lock(SMALL[0])
    bench.layout("split")
    bench.run(*bench.debship(9, "split"))
    rows.append(
        measured(
            "debship, split, code alone changed, level 9",
            bench.debship(9, "split"),
            runs=runs,
            before=lambda number: bench.edit(),
            result=lambda: bench.deb("auth", "split"),
            **env,
        )
    )
    bench.layout("whole")
    rows.append(
        measured(
            "debship, first build, level 19",
            bench.debship(19),
            runs=1,
            before=lambda number: bench.empty(),
            result=lambda: bench.deb("auth"),
            watch=True,
            **env,
        )
    )
    rows.append(
        measured(
            "debship, code alone changed, level 19",
            bench.debship(19),
            runs=runs,
            before=lambda number: bench.edit(),
            result=lambda: bench.deb("auth"),
            **env,
        )
    )
    return rows


def dpkg_deb(bench: Bench, runs: int) -> list[Row]:
    """The same tree, packed by dpkg-deb alone: nothing is installed or compiled."""
    tree, out = bench.folder / "tree", bench.folder / "tree.deb"
    bench.run("dpkg-deb", "-R", bench.deb("auth"), tree)
    return [
        measured(
            f"dpkg-deb -Zzstd -z{level}, over a ready tree",
            ["dpkg-deb", "--root-owner-group", "-Zzstd", f"-z{level}", "-b", str(tree), str(out)],
            runs=runs if level == 3 else 3,
            result=lambda: out,
        )
        for level in (3, 9)
    ]


def dh_virtualenv(bench: Bench) -> list[Row]:
    if not shutil.which("dh_virtualenv"):
        print("dh-virtualenv is not installed: left out (apt-get install dh-virtualenv debhelper)")
        return []
    source = bench.folder / "dh" / "auth-1.0"
    shutil.copytree(bench.app, source, ignore=shutil.ignore_patterns("dist", "build"))
    hashed = (source / "requirements.txt").read_text()
    pinned = [line.split()[0] for line in hashed.splitlines() if "==" in line.split("#")[0]]
    (source / "requirements.txt").write_text("\n".join(pinned) + "\n")
    debian = source / "debian"
    (debian / "source").mkdir(parents=True)
    (debian / "source/format").write_text("3.0 (native)\n")
    (debian / "control").write_text(
        "Source: auth\nMaintainer: Platform Team <platform@example.com>\nSection: net\n"
        "Priority: optional\nBuild-Depends: debhelper-compat (= 13)\nStandards-Version: 4.6.2\n\n"
        "Package: auth\nArchitecture: any\nDepends: ${misc:Depends}, python3\n"
        "Description: Authentication service\n A service.\n"
    )
    (debian / "changelog").write_text(
        "auth (1.0) bookworm; urgency=medium\n\n  * Built.\n\n"
        " -- Platform Team <platform@example.com>  Tue, 14 Nov 2023 22:13:20 +0000\n"
    )
    rules = debian / "rules"
    # Wheels bring their libraries along: its own documentation leaves them out of these two.
    rules.write_text(
        "#!/usr/bin/make -f\n%:\n\tdh $@ --with python-virtualenv --buildsystem=none\n"
        "override_dh_virtualenv:\n\tdh_virtualenv --python /usr/bin/python3 --builtin-venv\n"
        "override_dh_strip:\n\tdh_strip --exclude=/site-packages/\n"
        "override_dh_shlibdeps:\n\tdh_shlibdeps --exclude=/site-packages/\n"
        "override_dh_dwz:\n"
    )
    rules.chmod(0o755)
    return [
        measured(
            "dh-virtualenv, its defaults",
            ["dpkg-buildpackage", "-b", "-d", "-us", "-uc"],
            runs=1,
            result=lambda: next((bench.folder / "dh").glob("*.deb")),
            cwd=source,
            env={name: v for name, v in bench.environment.items() if not name.startswith("UV_")},
        )
    ]


def docker(bench: Bench, runs: int, base: Path) -> list[Row]:
    """A warm `docker build` of the usual Dockerfile, its layer of requirements there."""
    if not shutil.which("dockerd") or not base.is_dir():
        print("docker build: there is no dockerd, or no base (--docker-base ROOT): left out")
        return []
    folder, context = bench.folder / "docker", bench.folder / "context"
    folder.mkdir()
    context.mkdir()
    shutil.copytree(bench.app / "src", context / "src")
    shutil.copy(bench.app / "requirements.txt", context)
    (context / "Dockerfile").write_text(DOCKERFILE)

    def edit(number: int) -> None:
        (context / "src/auth/__init__.py").write_text(f"EDIT = {number}\n")

    with engine(folder) as address:
        settings = {"env": {**os.environ, **address, "DOCKER_BUILDKIT": "0"}}
        tar = subprocess.Popen(["tar", "-C", str(base), "-c", "."], stdout=subprocess.PIPE)
        imported = subprocess.run(
            ["docker", "import", "-", "bench-build-base"],
            stdin=tar.stdout,
            check=False,
            capture_output=True,
            **settings,
        )
        if imported.returncode != 0:
            print(f"docker import failed: left out: {imported.stderr.decode()[-300:]}")
            return []
        build = ["docker", "build", "--network", "host", "--tag", "auth", str(context)]
        cold = measured("docker build, cold", build, runs=1, **settings)
        return [
            cold,
            measured(
                "docker build, requirements cached", build, runs=runs, before=edit, **settings
            ),
        ]


def lab(bench: Bench, runs: int, codename: str) -> list[Row]:
    """How long apt takes on a real host for a change of code alone, whole and split."""
    from examples.rehearsal import Rehearsal

    stage = Rehearsal(bench.folder / f"lab-{codename}", name=f"bench{codename}{os.getpid()}")
    rows = []
    try:
        stage.up("--hosts", "1", "--release", codename)
        address = stage.hosts[0]
        pid = next(host["pid"] for host in stage.lab["hosts"] if host["address"] == address)
        apt = ("apt-get", "-q", "-y", "-o", "APT::Install-Recommends=0", "install")
        inside = ["nsenter", "-t", str(pid), "-a", "env", "DEBIAN_FRONTEND=noninteractive", *apt]
        for layout in ("whole", "split"):
            bench.layout(layout)
            packages = [_for_release(bench, codename, layout) for _ in range(runs + 1)]
            for deb in {deb for debs in packages for deb in debs}:
                stage.enter(address, "sh", "-c", f"cat > /root/{deb.name}", stdin=deb.read_bytes())
            bench.run(*inside, *(f"/root/{deb.name}" for deb in packages[0]))
            walls = []
            for debs in packages[1:]:
                start = time.monotonic()
                bench.run(*inside, f"/root/{debs[0].name}")
                walls.append(time.monotonic() - start)
            row = Row(
                f"apt on a host of {codename}, code alone, {layout}",
                *(runs, statistics.median(walls), 0.0, 0, packages[-1][0].stat().st_size),
                slowest=max(walls),
            )
            show(row)
            rows.append(row)
            bench.run(*inside[:-1], "purge", "--autoremove", "auth")
    finally:
        stage.down()
        bench.layout("whole")
    return rows


def _for_release(bench: Bench, codename: str, layout: str) -> list[Path]:
    bench.edit()
    words = (*bench.debship(9, f"{codename}-{layout}"), "--release", codename, "--no-smoke")
    return [Path(line) for line in bench.run(*words).splitlines()]


def memory(bench: Bench, megabytes: int) -> list[Row]:
    """How much memory a large tree takes: wheels of noise and of text, made here."""
    sys.path.insert(0, str(TOP / "tests/build"))
    from sample import lock_wheels, make_wheel

    folder = bench.folder / "large"
    noise = random.Random(1)
    each = megabytes // 10
    wheels = []
    for number in range(10):
        words = [noise.randbytes(40) for _ in range(4000)]
        content = b"".join(noise.choice(words) + noise.randbytes(8) for _ in range(each * 20000))
        files = {f"large_{number}/data-{part}.bin": content[part::2] for part in range(2)}
        wheels.append(make_wheel(folder / "wheels", f"large_{number}", files=files))
    make_wheel(folder / "dist", "large", scripts=("large",), requires=("large_1",))
    lock_wheels(folder, *wheels)
    toml = DEBSHIP_TOML.format(layout="whole").replace('"auth"', '"large"')
    (folder / "debship.toml").write_text(
        toml.replace("gunicorn --bind 127.0.0.1:8101 auth:app", "large")
    )
    rows = []
    for level in (9, 19):
        argv = [str(bench.bin / "debship"), "build", str(folder), "--level", str(level)]
        argv += ["--output", str(bench.folder / "large-out")]
        what = f"debship, a tree of {megabytes} MB, level {level}"
        rows.append(measured(what, argv, runs=1, watch=True, env=bench.environment))
    return rows


def ratios(rows: list[Row]) -> dict[str, float]:
    by = {row.what: row for row in rows}

    def divided(one: str, other: str, of: str = "seconds") -> float | None:
        if one in by and other in by:
            return float(getattr(by[one], of)) / float(getattr(by[other], of))
        return None

    first, code = "debship, first build, level 9", "debship, code alone changed, level 9"
    best = "debship, code alone changed, level 19"
    found = {
        "dh-virtualenv / first build, level 9 (at least 40)": divided(
            "dh-virtualenv, its defaults", first
        ),
        "first build, level 19 / level 9": divided("debship, first build, level 19", first),
        "code alone / dpkg-deb -z3 (below 1)": divided(
            code, "dpkg-deb -Zzstd -z3, over a ready tree"
        ),
        "code alone, level 19 / dpkg-deb -z3 (below 1)": divided(
            best, "dpkg-deb -Zzstd -z3, over a ready tree"
        ),
        "size, level 19 / dpkg-deb -z9 (at most 1)": divided(
            best, "dpkg-deb -Zzstd -z9, over a ready tree", "size"
        ),
        "small dependency / code alone (at most 2)": divided(
            "debship, one small dependency changed, level 9", code
        ),
        "split, code alone / docker build (at most 1)": divided(
            "debship, split, code alone changed, level 9", "docker build, requirements cached"
        ),
    }
    for codename in ("bookworm", "trixie"):
        found[f"apt on {codename}, split / whole (below 0.1)"] = divided(
            *(f"apt on a host of {codename}, code alone, {layout}" for layout in ("split", "whole"))
        )
    return {name: round(value, 3) for name, value in found.items() if value is not None}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=7)
    words.add_argument(
        "--without", nargs="*", default=[], choices=["dh-virtualenv", "docker", "lab", "memory"]
    )
    words.add_argument(
        "--megabytes", type=int, default=500, help="of the tree that memory is measured with"
    )
    words.add_argument(
        "--docker-base", type=Path, default=Path("/nowhere"), help="a root with python3-venv"
    )
    words.add_argument("--output", type=Path, default=TOP / ".bench" / "build.json")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-build-") as name:
        bench = Bench(Path(name))
        bench.run(
            bench.bin / "python", "-m", "compileall", "-q", TOP / "src", bench.bin.parent / "lib"
        )
        bench.make()
        rows = ours(bench, given.runs)
        rows += dpkg_deb(bench, given.runs)
        if "docker" not in given.without:
            rows += docker(bench, given.runs, given.docker_base)
        for codename in () if "lab" in given.without else ("bookworm", "trixie"):
            rows += lab(bench, 3, codename)
        if "memory" not in given.without:
            rows += memory(bench, given.megabytes)
        if "dh-virtualenv" not in given.without:
            rows += dh_virtualenv(bench)
    found = ratios(rows)
    print()
    for what, value in found.items():
        print(f"{what:<52} {value:10.3f}")
    machine = {
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    result = {**machine, "rows": [asdict(row) for row in rows], "ratios": found}
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{given.output}")


if __name__ == "__main__":
    main()
