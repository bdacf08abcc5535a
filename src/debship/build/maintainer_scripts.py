"""The scripts that dpkg runs (Policy 6)."""

import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from debship.build.files import unit_texts
from debship.build.package import Package
from debship.build.plan import BuildPlan
from debship.build.unit_files import listen_stream
from debship.build.unit_links import links_of
from debship.errors import Misused, Refused
from debship.run import Run
from debship.templates import render

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def maintainer_scripts(package: Package) -> dict[str, str]:
    """Render the scripts that the package needs, by their names."""
    plan = package.plan
    if plan.serves:
        return {"prerm": render("package/prerm-dependencies", {"plan": plan})}
    units, snippets = plan.units, dict(read_snippets(plan.app.scripts))
    started = tuple(name for unit in units for name in unit.started)
    activated = tuple((unit.socket, *unit.services) for unit in units if unit.socket)
    sockets = {socket for socket, _ in activated}
    names = {name for unit in units for name in (*unit.names, *unit.files)}
    calls = package.conffiles.helpers(package.version, plan.release)
    helpers = tuple(shlex.join(words) for words in calls)
    managed = tuple(config.path for config in plan.app.configs if config.managed)
    texts = dict(unit_texts(package))
    texts |= {name: texts[target] for unit in units for name, target in unit.links}
    values = {
        "plan": plan,
        "helpers": helpers,
        "snippets": {name: snippets.get(name, "") for name in SCRIPTS},
        "system_user": bool(units) and plan.app.user != "root",
        "started": started,
        "wanted_by": {name: links for name in started if (links := links_of(name, texts))},
        "activated": activated,
        "restarted": tuple(name for name in started if name not in sockets),
        "all": tuple(name for unit in units for name in unit.names),
        "known": tuple(f"'{name}'" for name in sorted(names - sockets)),
        "sockets": tuple((unit.socket, listen_stream(unit)) for unit in units if unit.socket),
        "managed": tuple(shlex.quote(str(path)) for path in managed),
        # What dpkg kept of them is not its own any more (removal_bulk_remove_configfiles).
        "gone": tuple(shlex.quote(str(path)) for path in package.conffiles.gone),
        "folders": tuple(shlex.quote(str(path)) for path in reversed(_folders(package))),
    }
    wanted = {
        "preinst": bool(units or helpers or "preinst" in snippets),
        "postinst": bool(units or helpers or "postinst" in snippets),
        "prerm": bool(units or "prerm" in snippets),
        "postrm": True,
    }
    overrides = plan.app.build.templates
    return {
        name: render(f"package/{name}", values, overrides=overrides)
        for name in SCRIPTS
        if wanted[name]
    }


def read_snippets(scripts: tuple[tuple[str, Path], ...]) -> tuple[tuple[str, str], ...]:
    """Read what an application adds to the scripts.

    Returns:
        pairs of a script's name and the text, without its first line where that names the shell.

    Raises:
        Misused: a file cannot be read.
        Refused: it is not for sh.
    """
    return tuple((name, _snippet(name, path)) for name, path in scripts)


def check_syntax(scripts: dict[str, str], snippets: dict[str, str], run: Run) -> None:
    """See that sh can read the scripts, and the application's own parts by themselves.

    Raises:
        Refused: it cannot; the message has its words. Or dpkg could not start one.
    """
    for name, text in scripts.items():
        if not text.startswith("#!"):
            raise Refused(
                f"{name}: its first line names no interpreter, so dpkg cannot start it",
                "begin the template with #!/bin/sh",
            )
    own = {f"scripts.{name}": text for name, text in snippets.items()}
    for name, text in {**own, **scripts}.items():
        done = run(["sh", "-n"], stdin=text.encode(), check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise Refused(f"{name}: sh cannot read it: {said}", "sh -n FILE says the same")


def config_folders(plan: BuildPlan) -> tuple[PurePosixPath, ...]:
    """Give the directories below /etc that configuration files lie in, parents first."""
    return _parents(config.path for config in plan.app.configs)


def _folders(package: Package) -> tuple[PurePosixPath, ...]:
    """Give those that a purge may leave empty: what went away had some too."""
    conffiles = package.conffiles
    old = (*conffiles.gone, *(old for old, _ in conffiles.moved))
    return _parents((*old, *(config.path for config in package.plan.app.configs)))


def _parents(paths: Iterable[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    parents = (parent for path in paths for parent in path.parents)
    return tuple(sorted({parent for parent in parents if len(parent.parts) > 2}))


def _snippet(name: str, path: Path) -> str:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misused(f"scripts.{name}: {path}: {why}") from error
    first, newline, rest = text.partition("\n")
    if first.startswith("#!"):
        if first.split()[0] not in ("#!/bin/sh", "#!/usr/bin/sh", "#!/bin/dash"):
            raise Refused(
                f"scripts.{name}: {path} is for {first.removeprefix('#!').strip()}",
                "it becomes a part of a script of /bin/sh (Policy 10.4)",
            )
        text = rest if newline else ""
    if not text.strip():
        return ""
    comments = all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip())
    # A shell of its own that is to do nothing has to be told so.
    return ("" if not comments else ":\n") + text.rstrip("\n") + "\n"
