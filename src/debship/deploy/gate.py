"""The rules of a host's gate: every command of a roll, made by what makes them for a roll. Pure."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from debship.config.fleet import FleetApp, HookSettings
from debship.deploy import apt, hooks, prepare, records, services
from debship.deploy.checks import check_words
from debship.deploy.command import put_words
from debship.deploy.fence import guarded
from debship.deploy.lock import lock_path
from debship.model import DebVersion

# Samples that stand in what the builders make, and what may stand there in truth.
_VERSION = DebVersion("0~sample-1")
_ROLL = "sampleroll"
_PATTERNS = {
    str(_VERSION): r"[0-9][A-Za-z0-9.+:~-]*",
    _ROLL: r"[A-Za-z0-9-]+",
}
_UNIT = r"[A-Za-z0-9][A-Za-z0-9@_.:-]*\.(?:service|socket|timer)"
_TARGET = r"[a-z0-9][a-z0-9+.-]*=[0-9][A-Za-z0-9.+:~-]*"
_NUMBER = r"[0-9.]+"
_WORD = r"[^\n]{0,300}"

Rule = dict[str, Any]


def gate_path(app: FleetApp) -> str:
    """Where an application's gate lies on a host."""
    return f"/usr/local/sbin/debship-gate-{app.package}"


def gate_program(app: FleetApp) -> str:
    """Write the gate of an application: the gatekeeper, and behind it the rules."""
    rules = json.dumps(gate_rules(app), sort_keys=True)
    return f"#!/usr/bin/python3 -I\n{_script('gatekeeper.py').decode()}\n\nmain({rules})\n"


def sudoers(apps: Sequence[FleetApp], user: str) -> str:
    """Write the file for /etc/sudoers.d that lets a user through the gates of applications."""
    gates = ", ".join(gate_path(app) for app in apps)
    return (
        "# Written by `fab bootstrap --sudoers`: what a roll does as root, and nothing else.\n"
        f"{user} ALL=(root) NOPASSWD: {gates}\n"
    )


def gate_rules(app: FleetApp) -> dict[str, Any]:
    """Every command that a roll of an application uses."""
    guard = guarded((), lock_path(app.package), _ROLL)
    commands = [*_commands(app), _rule(gate_mark(app))]
    return {"guard": list(_exactly(guard)), "commands": commands}


def gate_mark(app: FleetApp) -> tuple[str, ...]:
    """Make the command, of no effect, that no gate lets through but the one written now."""
    rules = json.dumps(list(_commands(app)), sort_keys=True).encode()
    return ("true", hashlib.sha256(rules + _script("gatekeeper.py")).hexdigest())


def _commands(app: FleetApp) -> Iterator[Rule]:
    package, folder = app.package, records.folder(app.package)
    files = "|".join(re.escape(str(file.path)) for file in app.files) or "(?!)"
    yield from _of_apt(app)
    yield _rule(("sh", "-s", "--", package), tail=files, stdin="observe.sh")
    lock = lock_path(package)
    for verb in ("take", "show", "drop"):
        yield _rule(("sh", "-s", "--", verb, lock), tail=_WORD, stdin="lock.sh")
    for words in (
        ("true",),
        ("test", "-r", apt.SOURCE),
        ("cat", "/proc/net/tcp", "/proc/net/tcp6"),
        ("cat", "--", f"{folder}/history.jsonl"),
        ("systemctl", "daemon-reload"),
        ("journalctl", "--sync"),
    ):
        yield _rule(words)
    yield _rule(("journalctl", "-q", "-o", "cat", "-n", "80"), tail=r"_SYSTEMD_INVOCATION_ID=\w+")
    for verb in ("stop", "start"):
        yield {"words": ["systemctl", verb, _UNIT]}
    yield _rule(("systemctl", "reset-failed", apt.unit_name(package)))
    yield _rule(("sh", "-c", services.RESTART, "debship-restart"), tail=_UNIT)
    about = ("sh", "-c", services.DIFF, "debship-diff", package, str(_VERSION))
    yield _rule(about, tail=r"/etc/[^\n]*")
    for how in ("keep", "leave"):
        yield _rule(("sh", "-c", records.KEEP, "debship-keep", folder, how), tail=files)
    yield _rule(("sh", "-c", records.RETURN, "debship-return", folder), tail=files)
    yield _rule(("sh", "-c", records.SETTLE, "debship-settle", folder, apt.unit_name(package)))
    yield _rule(("sh", "-c", hooks.NOTE, "debship-note", folder))
    for file in app.files:
        lies = (str(file.path), file.owner, file.group, file.mode)
        yield _rule(put_words(*lies))
        if file.check:
            yield _rule(check_words(*lies, file.check))
    yield from _of_health(app)
    yield from (_of_hook(app, hook) for hook in app.hooks if hook.on == "host")


def _of_apt(app: FleetApp) -> Iterator[Rule]:
    package = app.package
    installs = [
        apt.install(package, _VERSION, reinstall=again, held=held)
        for again in (True, False)
        for held in (True, False)
    ]
    mending = [tuple(w for w in words if w != "--no-download") for words in installs[:2]]
    for words in (
        apt.update(),
        apt.available(package),
        apt.check(),
        apt.fetch(package, _VERSION),
        apt.simulate(package, _VERSION),
        apt.hold_words(package),
        ("sh", "-c", prepare.KEPT, "debship-kept", package, str(_VERSION)),
        *(apt.carried(w, package, _ROLL) for w in (*installs, *mending, apt.configure())),
    ):
        yield _rule(words)
    name = rf"{re.escape(package)}-deps-[a-z0-9]+"
    ahead = apt.carried(apt.install_ahead(()), package, _ROLL)
    yield _rule(ahead, tail=rf"{name}={_PATTERNS[str(_VERSION)]}")
    yield _rule(apt.installed(()), tail=name)
    yield _rule(("sh", "-c", prepare.ROOM, "debship-room"), tail=_TARGET)


def _of_health(app: FleetApp) -> Iterator[Rule]:
    if app.health is None:
        return
    url = f"http://127.0.0.1:{app.health.port}{app.health.path}"
    asking = (f"/usr/lib/{app.package}/bin/python", "-I", "-", url)
    rule = _rule(asking, tail=_UNIT, stdin="probe.py")
    rule["words"] += [_NUMBER, _NUMBER, re.escape(app.health.version or "")]
    yield rule


def _of_hook(app: FleetApp, hook: HookSettings) -> Rule:
    told = hooks.told(hook, app.name, str(_VERSION), _ROLL, "")
    named = [f"{re.escape(name)}={_WORD}" for name in told]
    if hook.when == "after-roll":
        named.append(f"DEBSHIP_STOPPED={_WORD}")
    return {"words": ["env", *named, *map(re.escape, hooks.bounded(hook))]}


def _rule(words: Sequence[str], *, tail: str | None = None, stdin: str = "") -> Rule:
    rule: Rule = {"words": list(_exactly(words))}
    if tail is not None:
        rule["tail"] = tail
    if stdin:
        rule["stdin"] = hashlib.sha256(_script(stdin)).hexdigest()
    return rule


def _exactly(words: Sequence[str]) -> Iterator[str]:
    """Give the pattern of each word: itself, but what was a sample."""
    for word in words:
        pattern = re.escape(word)
        for sample, meant in _PATTERNS.items():
            pattern = pattern.replace(re.escape(sample), meant)
        yield pattern


@cache
def _script(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def rules_as_read(text: str) -> Mapping[str, Any]:
    """Read the rules out of a gate's program."""
    found: Mapping[str, Any] = json.loads(text.rpartition("\nmain(")[2].rpartition(")")[0])
    return found
