"""The unit files of a service, as systemd reads them."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from debship.build.dists import Dist
from debship.build.hardening import NAMES, Sandbox, sandbox
from debship.build.units import Unit, command_line, escaped
from debship.config.app import App
from debship.debian.releases import Release
from debship.errors import Refused
from debship.model import DebVersion
from debship.run import Run
from debship.templates import render


def render_unit(
    unit: Unit,
    app: App,
    *,
    prefix: PurePosixPath,
    version: DebVersion,
    release: Release,
    dists: Collection[Dist],
) -> tuple[tuple[str, str], ...]:
    """Render the unit files of one service.

    Args:
        unit: the service and its words.
        app: the application it belongs to.
        prefix: where the virtualenv lives.
        version: what the process shows in its environment as DEBSHIP_VERSION.
        release: what the hosts run.
        dists: what is installed beside it; some need more than others.

    Returns:
        pairs of a file's name and its text.
    """
    service = unit.service
    box = sandbox_of(unit, release, dists)
    values = {
        "app": app,
        "service": service,
        "unit": unit,
        "summary": escaped(" ".join(app.summary.split())),
        "command": command_line((str(prefix / "bin" / unit.words[0]), *unit.words[1:])),
        "type": _type(unit),
        "version": version,
        "env_files": [escaped(str(path)) for path in service.env_files],
        "relaxations": box.relaxations,
        "sandbox": box.lines,
        "schedule": escaped(service.schedule or ""),
        "listen": listen_stream(unit),
    }
    return tuple(
        (name, render(f"package/{name.rpartition('.')[2]}", values, overrides=app.build.templates))
        for name in unit.files
    )


def listen_stream(unit: Unit) -> str | None:
    """Say where its socket listens, as ListenStream= of systemd.socket(5)."""
    service = unit.service
    if not service.socket:
        return None
    if service.address is None:
        return str(service.port)
    address = f"[{service.address}]" if ":" in service.address else service.address
    return f"{address}:{service.port}"


def sandbox_of(unit: Unit, release: Release, dists: Collection[Dist]) -> Sandbox:
    """Decide what a unit may do on a release."""
    return sandbox(unit.service, dists, old_ffi=release.old_ffi)


def check_units(
    files: Sequence[tuple[str, str]], prefix: PurePosixPath, run: Run, *, folder: Path
) -> None:
    """Ask systemd what it thinks of unit files (systemd-analyze(1), verify).

    A directive of ours that this machine's systemd is too old for is no complaint.

    Args:
        files: pairs of a file's name and its text.
        prefix: of the commands; they are not there yet, so another stands in for each.
        run: the door to programs, systemd-analyze among them.
        folder: for copies of the files; those programs see it.

    Raises:
        Refused: it would ignore something or refuse a unit; the message has its words.
    """
    folder.mkdir()
    for file, text in files:
        stand_in = "\n".join(_with_command(line, prefix) for line in text.split("\n"))
        folder.joinpath(file).write_text(stand_in, "utf-8")
    # A template cannot be loaded, an instance of it can.
    loaded = [folder / file.replace("@.", "@1.") for file, _ in files]
    done = run(["systemd-analyze", "verify", "--man=no", *loaded], check=False)
    said = done.stderr.decode(errors="replace").replace(f"{folder}/", "")
    check_complaints(said, [file for file, _ in files])


def check_complaints(said: str, files: Iterable[str]) -> None:
    """See that systemd-analyze complains of none of our unit files.

    What is ignored is only warned of, and whether that is a failure differs with its version.

    Raises:
        Refused: it does; the message has its words.
    """
    stems = {file.partition(".")[0] for file in files}
    complaints = [line for line in dict.fromkeys(said.splitlines()) if _is_ours(line, stems)]
    if complaints:
        raise Refused(
            "systemd would not take a unit as it is\n" + "\n".join(f"  {c}" for c in complaints),
            "look at the service in debship.toml: exec, schedule, unit, relax",
        )


def _type(unit: Unit) -> str:
    if unit.service.kind in ("timer", "oneshot"):
        return "oneshot"
    # gunicorn tells systemd when its sockets are open; others are not known to.
    return "notify" if unit.words[0] == "gunicorn" else "exec"


def _with_command(line: str, prefix: PurePosixPath) -> str:
    """Put a program of this machine where the application's will be."""
    key, _, command = line.partition("=")
    if key.startswith("Exec") and command.startswith(f"{prefix}/"):
        return f"{key}=/bin/true {command.partition(' ')[2]}"
    return line


def _is_ours(line: str, stems: Collection[str]) -> bool:
    ours = any(line.startswith((f"{stem}.", f"{stem}1.")) for stem in stems)
    return ours and not ("Unknown key" in line and any(f"'{name}'" in line for name in NAMES))
