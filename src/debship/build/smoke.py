"""The smoke test: a package is installed in a clean root of its release, and tried.

What must work: dpkg installs it beside what its Depends name, the application's modules find what
they import, machine code of every dependency finds its libraries, scripts start, and systemd reads
the units. What fails for lack of configuration (a variable, a file that the deploy brings) is said,
and is no failure: a clean root has none.
"""

import json
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from debship.build.dists import Dist
from debship.build.package import Package
from debship.build.unit_files import check_complaints
from debship.cell import Cell
from debship.errors import Refused
from debship.run import Completed, Word, signal_name

Say = Callable[[str], None]

_SECONDS = 60  # for an import of everything, and for one script
_INSTALLING = 600  # seconds, for dpkg and the maintainer scripts
_PATIENCE = 30  # more, for the cell to end what is left

# What a trial leaves running is ended: it would hold the pipe that is read to its end.
_ALONE = """
before=" $(cd /proc && echo [0-9]*) "
"$@"
code=$?
for try in 1 2 3; do
    for process in /proc/[0-9]*; do
        case $before in *" ${process#/proc/} "*) continue ;; esac
        kill -KILL "${process#/proc/}"
    done
done 2> /dev/null
exit "$code"
"""

# The name of each module goes out before it is imported: a crash names its culprit. What modules
# print goes elsewhere.
_IMPORT = """
import importlib, json, os, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for name in json.load(sys.stdin):
    print(json.dumps([name]), file=out, flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        words = f"{type(error).__name__}: {error}"
        print(json.dumps([name, words]), file=out, flush=True)
os._exit(0)
"""

# ld.so's words, where Python wraps them in an ImportError or an OSError.
_UNLOADABLE = re.compile(
    r"cannot open shared object file|undefined symbol|version `[^']+' not found|"
    r"file too short|invalid ELF header|wrong ELF class"
)
_INCOMPLETE = re.compile(r"(?m)^(ImportError|ModuleNotFoundError|SyntaxError|IndentationError)\b.*")
# What starts a script has these words where its first line names nothing that is there.
_UNSTARTED = re.compile(
    r"(?m)^(timeout: failed to run command|setpriv: failed to execute|/\S*env: .*No such file)"
)
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS, signal.SIGFPE)

# Names that wheels install at the top by mistake; nothing imports them.
_MISTAKEN = frozenset({"test", "tests", "testing", "docs", "examples", "setup", "conftest"})
_RELATION = re.compile(r"\s*(?P<name>[a-z0-9][a-z0-9+.-]+)")


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried of a package.

    Attributes:
        modules: the application's own; each must be imported.
        compiled: of dependencies with machine code; each must find its libraries.
        scripts: what is started with --help, by name.
        units: files of systemd.
        user: who imports and starts; None: root.
    """

    modules: tuple[str, ...]
    compiled: tuple[str, ...]
    scripts: tuple[str, ...]
    units: tuple[str, ...]
    user: str | None


def smoke_packages(packages: Sequence[Package]) -> tuple[str, ...]:
    """Name what a root must have for packages to install: the first choice of each relation."""
    own = {str(package.plan.app.name) for package in packages}
    first = (_RELATION.match(relation) for package in packages for relation in package.depends)
    named = (match["name"] for match in first if match and match["name"] not in own)
    systemd = ("systemd",) if any(package.plan.units for package in packages) else ()
    return tuple(dict.fromkeys((*named, *systemd)))


def plan_smoke(package: Package) -> Trial:
    """Decide what is tried."""
    plan = package.plan
    site = str(plan.site.relative_to(plan.prefix))
    own = package.application
    assert own is not None  # the package of dependencies is tried beside its application
    others = [dist for dist in package.importable if dist is not own and not dist.pure]
    started = [unit.words[0] for unit in plan.units]
    scripts = [file.removeprefix("bin/") for file in own.files if file.startswith("bin/")]
    return Trial(
        modules=top_level(own, site),
        compiled=tuple(name for dist in others for name in top_level(dist, site)),
        scripts=tuple(s for s in dict.fromkeys((*scripts, *started)) if s[:6] != "python"),
        units=tuple(name for unit in plan.units for name in unit.names),
        user=plan.app.user if plan.units and plan.app.user != "root" else None,
    )


def top_level(dist: Dist, site: str) -> tuple[str, ...]:
    """Find what a distribution lets be imported: its outermost packages, and single modules.

    A package within a namespace (PEP 420) is called by its whole name.
    """
    inner = [PurePosixPath(f).relative_to(site) for f in dist.files if f.startswith(f"{site}/")]
    packages = {path.parent for path in inner if path.name == "__init__.py" and path.parent.name}
    outer = {path for path in packages if not packages & set(path.parents)}
    single = {
        PurePosixPath(path.name.partition(".")[0])
        for path in inner
        if len(path.parts) == 1 and path.suffix in (".py", ".so")
    }
    return tuple(
        sorted(
            ".".join(path.parts)
            for path in outer | single
            if all(part.isidentifier() for part in path.parts) and path.parts[0] not in _MISTAKEN
        )
    )


def smoke_test(package: Package, debs: Sequence[Path], cell: Cell, say: Say) -> None:
    """Install the packages of a build in a root, and try the application.

    Args:
        package: the application's.
        debs: the files; the cell sees them.
        cell: a clean one, of a root with ``smoke_packages``.
        say: hears, as notes, what is worth a look but no failure.

    Raises:
        Refused: it does not install, or something of it does not work; the message has the words
            of the program that says so.
    """
    trial, prefix = plan_smoke(package), package.plan.prefix
    policy = cell.root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # nothing is started by maintainer scripts
    policy.chmod(0o755)
    _install(debs, cell)
    _import(trial, prefix, cell, say)
    for script in trial.scripts:
        _start(prefix / "bin" / script, trial, cell, say)
    _verify(trial, cell, say)


def _install(debs: Sequence[Path], cell: Cell) -> None:
    done = _try(["dpkg", "--install", *debs], None, cell, seconds=_INSTALLING)
    if done.returncode:
        raise Refused(f"the package does not install: {_how(done, _INSTALLING)}\n{_tail(done)}")


def _import(trial: Trial, prefix: PurePosixPath, cell: Cell, say: Say) -> None:
    names = (*trial.modules, *(name for name in trial.compiled if name not in trial.modules))
    if not names:
        return
    command = (str(prefix / "bin/python"), "-c", _IMPORT)
    done = _try(command, trial.user, cell, stdin=json.dumps(names).encode())
    said = [json.loads(line) for line in done.text.splitlines()]
    for name, words in (line for line in said if len(line) == 2):
        if _UNLOADABLE.search(words) or (name in trial.modules and _INCOMPLETE.match(words)):
            raise Refused(f"import {name} fails where the package is installed: {words}")
        say(f"note: import {name}: {words}")
    if done.returncode:
        name = said[-1][0] if said else "site"
        raise Refused(f"import {name} ends Python: {_how(done)}\n{_tail(done)}")


def _start(script: PurePosixPath, trial: Trial, cell: Cell, say: Say) -> None:
    done = _try((str(script), "--help"), trial.user, cell)
    wrote = done.stderr.decode(errors="replace")
    broken = _INCOMPLETE.search(wrote) if "Traceback" in wrote or "File " in wrote else None
    if done.returncode == 127 and _UNSTARTED.search(wrote):
        raise Refused(
            f"{script} does not start: what its first line names is not there\n{_tail(done)}",
            "write its first line as #!/usr/bin/python3, ended by LF alone, not by CR LF; or name "
            "the package of another interpreter under [run] depends",
        )
    if (
        broken
        or _UNLOADABLE.search(wrote)
        or -done.returncode in _CRASHES
        or done.returncode == 126
    ):
        raise Refused(f"{script} does not start: {_how(done)}\n{_tail(done)}")
    if done.returncode:
        say(f"note: {script.name} --help: {_how(done)}")


def _verify(trial: Trial, cell: Cell, say: Say) -> None:
    if not trial.units:
        return
    folder = "/usr/lib/systemd/system/"
    paths = [f"{folder}{unit}" for unit in trial.units]
    done = cell(["systemd-analyze", "--man=no", "verify", *paths], check=False)
    said = done.stderr.decode(errors="replace").replace(folder, "")
    if "Failed to initialize manager" in said:
        say("note: systemd-analyze of this release wants a running systemd: units are not verified")
        return
    check_complaints(said, trial.units)
    if done.returncode:
        raise Refused(f"systemd does not take the units\n{_tail(done)}")


def _try(
    words: Sequence[Word],
    user: str | None,
    cell: Cell,
    stdin: bytes = b"",
    seconds: int = _SECONDS,
) -> Completed:
    """Run a program for a bounded time, without root's rights where a user is named, and end all it began."""
    bounded = ("sh", "-c", _ALONE, "sh", "timeout", "--kill-after=5", str(seconds))
    ids = (f"--reuid={user}", f"--regid={user}", "--clear-groups", "--")
    laid_down = () if user is None else ("setpriv", *ids)
    argv = (*bounded, *laid_down, *words)
    done = cell(argv, stdin=stdin, timeout=seconds + _PATIENCE, check=False)
    number = done.returncode - 128  # as a shell says that a signal came
    return done._replace(returncode=-number) if 0 < number <= signal.SIGRTMAX else done


def _how(done: Completed, seconds: int = _SECONDS) -> str:
    if done.returncode == 124:
        return f"it did not end within {seconds} s"
    if done.returncode < 0:
        return f"it was ended by {signal_name(-done.returncode)}"
    return f"it exited with {done.returncode}"


def _tail(done: Completed) -> str:
    wrote = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
    return "\n".join(f"  {line}" for line in wrote.splitlines()[-15:])
