"""What a smoke test tries, and what it takes for a failure."""

import json
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import pytest

from debship.build.dists import Dist
from debship.build.layer import Layer
from debship.build.libraries import Libraries
from debship.build.package import Package, describe
from debship.build.parts import Packed
from debship.build.plan import Surroundings, plan_build
from debship.build.releases import build_packages
from debship.build.smoke import Trial, _start, plan_smoke, smoke_packages, smoke_test, top_level
from debship.cell import open_cell
from debship.cli.cache import cache_folder
from debship.config.app import App, Service
from debship.debian.compression import Segment
from debship.debian.releases import release
from debship.errors import Refused
from debship.model import Architecture, PackageName
from debship.roots import clean_root
from debship.run import Completed, Word, run

ROOTS = cache_folder() / "roots"  # of this machine, whatever the tests of builds have else
SITE = "lib/python3.11/site-packages"


def dist(name: str, *files: str, scripts: tuple[str, ...] = (), pure: bool = True) -> Dist:
    placed = (*(f"{SITE}/{file}" for file in files), *(f"bin/{script}" for script in scripts))
    return Dist(name, "1.0", placed, pure, summary="", homepage="", license="", author="")


def package(*dists: Dist, services: tuple[Service, ...] = (), user: str = "_auth") -> Package:
    app = App(Path("/srv/auth"), PackageName("auth"), "Auth", "A <a@b.c>", services=services)
    seen = Surroundings(
        Architecture("amd64"),
        frozenset({"requirements.txt", "pyproject.toml"}),
        source_date_epoch=1700000000,
    )
    plan = plan_build(app, release("bookworm"), seen)
    packed = Packed(Segment((), ()), (), (), 0)
    libraries = Libraries(("libc6 (>= 2.34)", "libssl3 (>= 3.0.0) | libssl3t64"))
    own, *others = (Layer(dist, packed, not dist.pure, libraries) for dist in dists)
    return describe(plan, others, own, 1700000000)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("auth/__init__.py", "auth/db/__init__.py", "auth/app.py"), ("auth",)),
        (("auth.py", "_speedups.cpython-311-x86_64-linux-gnu.so"), ("_speedups", "auth")),
        (("mycompany/auth/__init__.py", "mycompany/auth/x.py"), ("mycompany.auth",)),
        (("auth/__init__.py", "auth/data/job/__init__.py"), ("auth",)),
        (("auth/__init__.py", "tests/__init__.py", "a-b/__init__.py", "auth.pth"), ("auth",)),
        (("auth-1.0.dist-info/METADATA", "namespace/module.py"), ()),
    ],
)
def test_what_a_distribution_lets_be_imported(
    files: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert top_level(dist("auth", *files), SITE) == names


def test_what_is_tried() -> None:
    numpy = dist("numpy", "numpy/__init__.py", scripts=("f2py",), pure=False)
    flask = dist("flask", "flask/__init__.py", scripts=("flask",))
    auth = dist("auth", "auth/__init__.py", scripts=("auth-admin",))
    services = (Service("auth", "gunicorn auth:app"), Service("auth-x", "python -m auth"))
    tried = package(auth, numpy, flask, services=services)
    trial = plan_smoke(tried)
    assert (trial.modules, trial.compiled) == (("auth",), ("numpy",))
    assert trial.scripts == ("auth-admin", "gunicorn")
    assert trial.units == ("auth.service", "auth-x.service")
    assert trial.user == "_auth"
    assert smoke_packages([tried]) == ("python3.11", "libc6", "libssl3", "systemd")
    assert smoke_packages([package(auth)]) == ("python3.11", "libc6", "libssl3")


class FakeCell:
    """Answers by the first word that it knows among a command's; all else is well."""

    name = "bookworm"

    def __init__(self, root: Path, answers: Mapping[str, tuple[int, str, str]]) -> None:
        (root / "usr/sbin").mkdir(parents=True)
        self.root, self.answers, self.calls = root, answers, []

    def __call__(self, argv: Sequence[Word], **_: object) -> Completed:
        words = tuple(str(word) for word in argv)
        self.calls.append(words)
        code, out, err = next((a for w, a in self.answers.items() if w in words), (0, "", ""))
        return Completed(words, code, out.encode(), err.encode())


PYTHON = "/usr/lib/auth/bin/python"
ADMIN = "/usr/lib/auth/bin/auth-admin"
TRACEBACK = 'Traceback (most recent call last):\n  File "x", line 1\n'


def said(*lines: object) -> str:
    return "\n".join(json.dumps(line) for line in lines)


REFUSED = {
    "it does not install": (
        "dpkg",
        (1, "", "depends on libx"),
        r"not install: it exited with 1\n  depends on libx",
    ),
    "a maintainer script without an end": ("dpkg", (124, "", ""), "not install: .* within 600 s"),
    "an import that is not there": (
        PYTHON,
        (0, said(["auth"], ["auth", "ModuleNotFoundError: No module named 'flask'"]), ""),
        "import auth fails .* No module named 'flask'",
    ),
    "a dependency without its library": (
        PYTHON,
        (
            0,
            said(["numpy"], ["numpy", "ImportError: libx.so.1: cannot open shared object file"]),
            "",
        ),
        r"import numpy fails .* libx\.so\.1",
    ),
    "a crash": (
        PYTHON,
        (-signal.SIGSEGV, said(["auth"], ["numpy"]), ""),
        "import numpy .* SIGSEGV",
    ),
    "a signal without a name": (
        PYTHON,
        (-40, said(["auth"]), ""),
        "import auth ends Python: it was ended by signal 40",
    ),
    "an import without an end": (PYTHON, (124, said(["auth"]), ""), "import auth .* within 60 s"),
    "a script that misses a module": (
        ADMIN,
        (1, "", TRACEBACK + "ImportError: cannot import name 'main'\n"),
        "(?s)auth-admin does not start: it exited with 1.*cannot import name",
    ),
    "a script that crashes": (ADMIN, (-signal.SIGILL, "", ""), "ended by SIGILL"),
    "a script without an interpreter": (ADMIN, (126, "", "denied"), "exited with 126\n  denied"),
    "a script whose first line ends in CR LF": (
        ADMIN,
        (127, "", f"setpriv: failed to execute {ADMIN}: No such file or directory\n"),
        r"auth-admin does not start: what its first line names is not there\n  setpriv: failed",
    ),
    "a script of root's without an interpreter": (
        ADMIN,
        (127, "", f"timeout: failed to run command '{ADMIN}': No such file or directory\n"),
        r"auth-admin does not start: what its first line names is not there\n  timeout: failed",
    ),
    "a script that env finds no interpreter for": (
        ADMIN,
        (127, "", "/usr/bin/env: 'ruby': No such file or directory\n"),
        r"auth-admin does not start: what its first line names is not there\n  /usr/bin/env: 'ruby'",
    ),
    "a unit": ("systemd-analyze", (1, "", "bad"), "not take the units\n  bad"),
    "a line of a unit": (
        "systemd-analyze",
        (0, "", "/usr/lib/systemd/system/auth.service:4: Unknown key name 'Tpye'\n"),
        "take a unit as it is\n  auth.service:4",
    ),
}


@pytest.fixture
def tried() -> Package:
    auth = dist("auth", "auth/__init__.py", scripts=("auth-admin",))
    numpy = dist("numpy", "numpy/__init__.py", pure=False)
    return package(auth, numpy, services=(Service("auth", "auth-admin serve"),))


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused(tried: Package, tmp_path: Path, case: str) -> None:
    word, answer, message = REFUSED[case]
    cell = FakeCell(tmp_path, {word: answer})
    with pytest.raises(Refused, match=message):
        smoke_test(tried, [tmp_path / "x.deb"], cell, print)


NOTED = {
    "configuration that is not here": (
        PYTHON,
        (0, said(["auth"], ["auth", "KeyError: 'DATABASE_URL'"]), ""),
        "import auth: KeyError: 'DATABASE_URL'",
    ),
    "an optional part of a dependency": (
        PYTHON,
        (0, said(["numpy"], ["numpy", "ImportError: install numpy[fast]"]), ""),
        "import numpy: ImportError: install numpy[fast]",
    ),
    "a script without --help": (ADMIN, (2, "", "?"), "auth-admin --help: it exited with 2"),
    "a script that calls what is not there": (
        ADMIN,
        (127, "", "auth-admin: line 2: psql: not found\n"),
        "auth-admin --help: it exited with 127",
    ),
    "a script that serves": (ADMIN, (124, "", ""), "auth-admin --help: it did not end within 60 s"),
    "a script that wants a database": (
        ADMIN,
        (1, "", TRACEBACK + "OSError: refused\n"),
        "auth-admin --help: it exited with 1",
    ),
    "a systemd that cannot tell": (
        "systemd-analyze",
        (1, "", "Failed to initialize manager: No such file\n"),
        "systemd-analyze of this release wants a running systemd: units are not verified",
    ),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_may_work_elsewhere_is_said(tried: Package, tmp_path: Path, case: str) -> None:
    word, answer, line = NOTED[case]
    notes: list[str] = []
    cell = FakeCell(tmp_path, {word: answer})
    smoke_test(tried, [tmp_path / "x.deb"], cell, notes.append)
    assert notes == [f"note: {line}"]
    tried_as_user = [words for words in cell.calls if PYTHON in words or ADMIN in words]
    assert len(tried_as_user) == 2
    assert all("--reuid=_auth" in words for words in tried_as_user)
    assert (tmp_path / "usr/sbin/policy-rc.d").stat().st_mode & 0o111


RUNS = {
    "a child that holds the pipe": ("sleep 300 & echo $!", None),
    "a daemon of its own": ("setsid sh -c 'sleep 300; :' & exit 3", "it exited with 3"),
    "a crash": ("kill -SEGV $$", "ended by SIGSEGV"),
    "no interpreter": ("#!/usr/bin/ruby", "first line names is not there"),
    "none that env finds": ("#!/usr/bin/env ruby", "first line names is not there"),
}


@pytest.mark.acceptance
@pytest.mark.parametrize("user", [None, "daemon"])
def test_how_scripts_of_a_root_end(tmp_path: Path, user: str | None) -> None:
    """What they leave running neither holds the trial up nor outlives it."""
    plain = package(dist("auth", scripts=("auth-admin",)))
    root = clean_root(
        release("bookworm"), build_packages(plain.plan), run=run, cache=ROOTS, say=print
    )
    with open_cell(
        root,
        name="bookworm",
        layer=tmp_path / "layer",
        show=[],
        environment=None,
        variables={},
        run=run,
    ) as cell:
        before = cell(["sh", "-c", "ls -d /proc/[0-9]*"]).text.splitlines()
        script = cell.root / ADMIN[1:]
        script.parent.mkdir(parents=True)
        for text, expected in RUNS.values():
            script.write_text(text if text[0] == "#" else f"#!/bin/sh\n{text}\n")
            script.chmod(0o755)
            notes: list[str] = []
            began = time.monotonic()
            try:
                _start(PurePosixPath(ADMIN), Trial((), (), (), (), user), cell, notes.append)
            except Refused as refused:
                notes.append(refused.message)
            assert time.monotonic() - began < 20
            assert (expected is None and not notes) or expected in notes[0], (text, notes)
            after = cell(["sh", "-c", "ls -d /proc/[0-9]*"]).text.splitlines()
            assert len(after) == len(before)
