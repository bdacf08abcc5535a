"""What is true on a host now: read in one call, never remembered from one step to the next."""

import contextlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from debship.deploy.apt import unit_name
from debship.deploy.host import TALKS, WRITABLE, Host, LinkLost
from debship.errors import Failed
from debship.model import DebVersion, PackageName

_ALWAYS = "unit Id=shutdown.target"  # a line of every answer
_PUT_TO_REST = frozenset({"disabled", "masked", "masked-runtime"})  # UnitFileState


@dataclass(frozen=True, slots=True)
class PackageState:
    """What dpkg says of a package (dpkg-query(1), db:Status-Abbrev)."""

    abbrev: str  # wanted, status, error: "ii ", "hi ", "iF ", "iHR"
    version: DebVersion | None

    @property
    def installed(self) -> bool:
        """Wholly installed and configured, with no error."""
        return self.abbrev[1:2] == "i" and self.abbrev[2:3] in {"", " "}

    @property
    def absent(self) -> bool:
        """Nothing is installed; at most configuration files are left."""
        return self.abbrev[1:2] in {"n", "c", ""} and self.abbrev[2:3] in {"", " "}

    @property
    def held(self) -> bool:
        """An administrator keeps it from being changed (apt-mark(8))."""
        return self.abbrev[0:1] == "h"


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of a unit, and what its process says of itself."""

    name: str
    active: str
    sub: str
    result: str
    restarts: int
    invocation: str
    enabled: str  # UnitFileState: enabled, disabled, static, ...
    running: str | None  # the version in the environment of the process that runs
    started: int | None  # seconds since 1970

    @property
    def wanted(self) -> bool:
        """Whether it is to run at all; what an administrator disabled stays so."""
        return self.enabled == "enabled"

    @property
    def up(self) -> bool:
        """Whether it runs now, or waits for its socket or its hour."""
        return self.active == "active"


@dataclass(frozen=True, slots=True)
class FileState:
    """A managed file as it lies on the host."""

    path: str
    mode: int
    owner: str
    group: str
    changed: int  # seconds since 1970
    sha256: str


@dataclass(frozen=True, slots=True)
class Once:
    """What was last written down on a host of a hook that is meant once for a version."""

    hook: str
    version: str
    roll: str
    state: str  # begun, failed, done


@dataclass(frozen=True, slots=True)
class HostState:
    """Everything about one host that a roll decides by, but its places in the balancers."""

    package: PackageState
    units: tuple[UnitState, ...]
    files: tuple[FileState, ...]
    edited: tuple[str, ...]  # conffiles that differ from what the package shipped
    out: dict[str, Any] | None  # the record of a roll that took this host out
    history: dict[str, Any] | None  # the record of the last version that a roll left here
    install: str | None  # the state of the unit that carries apt, where there is one
    once: tuple[Once, ...] = ()  # how hooks that are meant once ended, as this host knows it
    going_down: bool = False  # it is being shut down, or its systemd answers no more
    install_result: str = ""  # how that unit ended (systemd.exec(5), $SERVICE_RESULT)
    install_invocation: str = ""

    @property
    def wanted_units(self) -> tuple[UnitState, ...]:
        """The units that are to run."""
        return tuple(unit for unit in self.units if unit.wanted)

    @property
    def invocations(self) -> tuple[str, ...]:
        """The present ones of those units."""
        return tuple(unit.invocation for unit in self.wanted_units)

    @property
    def resting(self) -> bool:
        """Whether an administrator disabled all that could run: then nothing is to answer."""
        return not self.wanted_units and any(unit.enabled in _PUT_TO_REST for unit in self.units)

    def runs(self, version: DebVersion) -> bool:
        """Whether every service that is to run does, and its process is of this version."""
        return all(
            unit.up and (not unit.name.endswith(".service") or unit.running == version.text)
            for unit in self.wanted_units
        )

    def stale(self) -> tuple[str, ...]:
        """Managed files that changed after a service last read them."""
        starts = [unit.started for unit in self.wanted_units if unit.started is not None]
        first = min(starts, default=None)
        return tuple(f.path for f in self.files if first is not None and f.changed > first)


def observe(host: Host, package: PackageName, files: tuple[str, ...]) -> HostState:
    """Read the state of a host in one call that changes nothing.

    Raises:
        Unreachable, LinkLost: the host did not answer; or it goes down, or its systemd begins anew:
            then nothing that systemd says of services, or does not say, is to be believed.
        Failed: it answered, but not sensibly.
    """
    answer = host.run(("sh", "-s", "--", package, *files), stdin=_script(), timeout=60)
    if answer.returncode != 0:
        raise Failed(f"{host.address}: its state could not be read: {answer.complaint}", WRITABLE)
    if _ALWAYS not in answer.text.splitlines():
        raise Failed(
            f"{host.address}: what it said of its state cannot be read: "
            f"{json.dumps(answer.text[:200])}",
            f"{TALKS}, or a ForceCommand of sshd",
        )
    state = parse(answer.text, package, host.address)
    if state.going_down:
        raise LinkLost(f"{host.address}: it is being shut down, or its systemd does not answer")
    return state


@cache
def _script() -> bytes:
    return (Path(__file__).parent / "observe.sh").read_bytes()


def parse(text: str, package: PackageName, address: str) -> HostState:
    """Turn what ``observe.sh`` printed into a state."""
    state = PackageState("un ", None)
    files: list[FileState] = []
    edited: list[str] = []
    records: dict[str, dict[str, Any]] = {}
    processes: dict[str, dict[str, str]] = {}
    once: dict[tuple[str, str], Once] = {}
    blocks: list[dict[str, str]] = [{}]
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "package":
            abbrev, _, version = value.partition("|")
            state = PackageState(abbrev, DebVersion(version) if version else None)
        elif key == "unit" and value:
            name, _, value = value.partition("=")
            blocks[-1][name] = value
        elif key == "unit":
            blocks.append({})
        elif key == "process":
            pid, started, running = value.split(" ", 2)
            processes[pid] = {"started": started, "running": running}
        elif key == "file":
            files.append(_file(value))
        elif key == "edited":
            edited.append(value)
        elif key == "once":
            told = _record(value, address, f"/var/lib/debship/{package}/once.jsonl")
            note = Once(*(str(told.get(k)) for k in ("hook", "version", "roll", "state")))
            once[note.hook, note.version] = note
        elif key == "out.json":
            records[key] = _record(value, address, f"/var/lib/debship/{package}/{key}")
        elif key == "version.json":
            # It remembers only what there was before; half a one is as good as none.
            with contextlib.suppress(Failed):
                records[key] = _record(value, address, key)
    named = {block["Id"]: block for block in blocks if "Id" in block}
    carrier = named.pop(unit_name(package), {})
    if carrier.get("LoadState") != "loaded":
        carrier = {}
    shutdown = named.pop("shutdown.target", None)
    units = [
        _unit({**block, **processes.get(block.get("MainPID", ""), {})}) for block in named.values()
    ]
    return HostState(
        package=state,
        units=tuple(units),
        files=tuple(files),
        edited=tuple(edited),
        out=records.get("out.json"),
        history=records.get("version.json"),
        install=carrier.get("ActiveState"),
        once=tuple(once.values()),
        going_down=shutdown is not None and _begun(shutdown),
        install_result=carrier.get("Result", ""),
        install_invocation=carrier.get("InvocationID", ""),
    )


def _begun(shutdown: dict[str, str]) -> bool:
    """Whether shutdown.target is, or is to be, reached (bootup(7)); or systemd did not say."""
    return shutdown.get("ActiveState") != "inactive" or shutdown.get("Job", "").isdigit()


def _unit(block: dict[str, str]) -> UnitState:
    started = block.get("started", "")
    return UnitState(
        name=block["Id"],
        active=block.get("ActiveState", "unknown"),
        sub=block.get("SubState", "unknown"),
        result=block.get("Result", "unknown"),
        restarts=int(block.get("NRestarts") or 0),
        invocation=block.get("InvocationID", ""),
        enabled=block.get("UnitFileState", ""),
        running=block.get("running") or None,
        started=int(started) if started.isdigit() else None,
    )


def _file(value: str) -> FileState:
    mode, owner, group, changed, sha256, path = value.split(" ", 5)
    return FileState(path, int(mode, 8), owner, group, int(changed), sha256)


def _record(value: str, address: str, path: str) -> dict[str, Any]:
    try:
        record = json.loads(value)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise Failed(
            f"{address}: {path} is damaged",
            "look at it there; take the file away when the host is where it should be",
        )
    return record
