"""`make bench-build`: debship beside its peers, in one run on one machine.

The application is a service with Flask, gunicorn, boto3, SQLAlchemy, cryptography and numpy; its own
wheel is made before each run, and not counted for anybody. uv's cache is warm. Prints a table with
the ratios that matter, and writes the same as JSON. What is not installed here is left out, and
said. Nothing of it goes to an index but through uv and pip, as they are configured.
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from examples.rehearsal import Rehearsal
from tests.benchmarks.application import SMALL, Application
from tests.benchmarks.measuring import Row, measured, show
from tests.benchmarks.packagers import (
    DH_VIRTUALENV,
    DOCKER,
    dh_virtualenv,
    docker,
    dpkg_deb,
    dpkg_deb_row,
)
from tests.benchmarks.service import DEBSHIP

TOP = Path(__file__).parents[2]
RELEASES = ("bookworm", "trixie")
LAYOUTS = ("whole", "split")


def ours(app: Application, runs: int) -> Iterator[Row]:
    """Build it for the first time, and after each kind of change."""

    def built(what: str, level: int, **settings: object) -> Row:
        row = partial(measured, f"debship, {what}, level {level}", app.debship(level))
        return row(result=app.deb, env=app.environment, **settings)

    def forget(_: int) -> None:
        app.forget()

    def edit(_: int) -> None:
        app.edit()

    yield built("first build", 9, runs=3, before=forget, watched=True)
    yield built("code alone changed", 9, runs=runs, before=edit)
    yield built(
        "one small dependency changed", 9, runs=3, before=lambda number: app.lock(SMALL[1 + number])
    )
    app.lock(SMALL[0])
    app.layout("split")
    app.run(*app.debship(9, "split"))
    yield measured(
        "debship, split, code alone changed, level 9",
        app.debship(9, "split"),
        runs=runs,
        before=edit,
        result=lambda: app.deb("split"),
        env=app.environment,
    )
    app.layout("whole")
    yield built("first build", 19, runs=1, before=forget, watched=True)
    yield built("code alone changed", 19, runs=runs, before=edit)


def on_hosts(app: Application, runs: int, codename: str) -> Iterator[Row]:
    """How long apt takes on a real host for a change of code alone, whole and split.

    A package without anything in it shows what apt and dpkg take for themselves. In a roll the
    package leaves the service alone: who rolls restarts it, once its configuration is there.
    """
    stage = Rehearsal(app.folder / f"lab-{codename}", name=f"bench{codename}{os.getpid()}")
    try:
        stage.up("--hosts", "1", "--release", codename)
        address = stage.hosts[0]
        pid = next(host["pid"] for host in stage.lab["hosts"] if host["address"] == address)

        def apt(*words: str, roll: bool = False) -> float:
            env = ("env", "DEBIAN_FRONTEND=noninteractive", *(["DEBSHIP_ROLL=1"] * roll))
            options = ("-q", "-y", "--allow-downgrades", "-o", "APT::Install-Recommends=0")
            start = time.monotonic()
            app.run("nsenter", "-t", pid, "-a", *env, "apt-get", *options, *words)
            return time.monotonic() - start

        def brought(debs: Sequence[Path]) -> list[str]:
            for deb in debs:
                stage.enter(address, "sh", "-c", f"cat > /root/{deb.name}", stdin=deb.read_bytes())
            return [f"/root/{deb.name}" for deb in debs]

        empty = brought([_empty(app, version) for version in range(runs + 1)])
        apt("install", empty[0])
        yield show(_on(codename, "an empty package"), [apt("install", p) for p in empty[1:]])
        for layout in LAYOUTS:
            built = [app.build_for(codename, layout) for _ in range(runs + 1)]
            first, *others = [brought(debs) for debs in built]
            apt("install", *first)
            size = built[-1][0].stat().st_size
            walls = [apt("install", debs[0]) for debs in others]
            yield show(_on(codename, layout), walls, size=size)
            walls = [apt("install", debs[0], roll=True) for debs in (first, *others[:-1])]
            yield show(_on(codename, layout, roll=True), walls, size=size)
            apt("purge", "--autoremove", "auth")
    finally:
        stage.down()
        app.layout("whole")


def _on(codename: str, what: str, *, roll: bool = False) -> str:
    change = f"code alone, {what}" if what in LAYOUTS else what
    return f"apt on a host of {codename}, {change}{', in a roll' * roll}"


def _empty(app: Application, version: int) -> Path:
    folder, deb = app.folder / "empty", app.folder / f"empty_{version}.deb"
    (folder / "DEBIAN").mkdir(parents=True, exist_ok=True)
    fields = f"Package: empty\nVersion: 1.{version}\nArchitecture: all\n"
    told = "Maintainer: Nobody <nobody@example.com>\nDescription: nothing\n"
    (folder / "DEBIAN/control").write_text(fields + told)
    app.run("dpkg-deb", "--root-owner-group", "-b", folder, deb)
    return deb


def memory(app: Application, megabytes: int) -> Iterator[Row]:
    """How much memory a large tree takes: wheels of noise and of text, made here."""
    sys.path.insert(0, str(TOP / "tests/build"))
    from sample import lock_wheels, make_wheel

    folder = app.folder / "large"
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
    toml = DEBSHIP.format(layout="whole", command="large").replace('"auth"', '"large"')
    (folder / "debship.toml").write_text(toml)
    for level in (9, 19):
        argv = [str(app.bin / "debship"), "build", str(folder), "--level", str(level)]
        argv += ["--output", str(app.folder / "large-out")]
        what = f"debship, a tree of {megabytes} MB, level {level}"
        yield measured(
            what,
            argv,
            runs=0,
            before=lambda _: app.forget(),
            watched=True,
            env=app.environment,
        )


def ratios(rows: list[Row]) -> dict[str, float]:
    """What is asked of the figures, as far as there are any."""
    by = {row.what: row for row in rows}

    def divided(one: str, other: str, of: str = "seconds") -> float | None:
        if one in by and other in by:
            return float(getattr(by[one], of)) / float(getattr(by[other], of))
        return None

    first, code = "debship, first build, level 9", "debship, code alone changed, level 9"
    best, small = (
        "debship, code alone changed, level 19",
        "debship, one small dependency changed, level 9",
    )
    split = "debship, split, code alone changed, level 9"
    found = {
        "dh-virtualenv / first build, level 9 (at least 40)": divided(DH_VIRTUALENV, first),
        "first build, level 19 / level 9": divided("debship, first build, level 19", first),
        "code alone / dpkg-deb -z3 (below 1)": divided(code, dpkg_deb_row(3)),
        "code alone, level 19 / dpkg-deb -z3 (below 1)": divided(best, dpkg_deb_row(3)),
        "size, level 19 / dpkg-deb -z9 (at most 1)": divided(best, dpkg_deb_row(9), "size"),
        "small dependency / code alone (at most 2)": divided(small, code),
        "split, code alone / docker build (at most 1)": divided(split, DOCKER),
    }
    for codename in RELEASES:
        for roll in (False, True):
            two = (_on(codename, layout, roll=roll) for layout in ("split", "whole"))
            what = f"apt on {codename}{', in a roll' * roll}, split / whole (below 0.1)"
            found[what] = divided(*two)
        what = f"apt on {codename}, an empty package / whole"
        found[what] = divided(_on(codename, "an empty package"), _on(codename, "whole"))
    return {name: round(value, 3) for name, value in found.items() if value is not None}


def main() -> None:
    """Measure, print, and write down."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=7)
    parts = ["ours", "dh-virtualenv", "docker", "lab", "memory"]
    words.add_argument("--without", nargs="*", default=[], choices=parts)
    words.add_argument(
        "--megabytes", type=int, default=500, help="of the tree that memory is measured with"
    )
    words.add_argument(
        "--docker-base", type=Path, default=Path("/nowhere"), help="a root with python3-venv"
    )
    words.add_argument("--output", type=Path, default=TOP / ".bench" / "build.json")
    given = words.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-build-") as name:
        app = Application(Path(name))
        app.run(app.bin / "python", "-m", "compileall", "-q", TOP / "src", app.bin.parent / "lib")
        app.make()
        if "ours" not in given.without:
            rows += ours(app, given.runs)
            rows += dpkg_deb(app, given.runs)
        if "docker" not in given.without:
            rows += docker(app, given.runs, given.docker_base)
        for codename in () if "lab" in given.without else RELEASES:
            rows += on_hosts(app, 3, codename)
        if "memory" not in given.without:
            rows += memory(app, given.megabytes)
        if "dh-virtualenv" not in given.without:
            rows += dh_virtualenv(app)
    found = ratios(rows)
    print()
    for what, value in found.items():
        print(f"{what:<60} {value:10.3f}")
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
