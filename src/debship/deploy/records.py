"""What a roll leaves on a host itself, so that any machine can finish what this one began.

Below /var/lib/debship/PACKAGE: ``out.json`` while a roll has the host out of its balancers, with
what it ran before; ``kept/`` the managed files as they were then; ``version.json`` what the last
finished turn left; ``history.jsonl`` a line for each turn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from debship.deploy.apt import unit_name
from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.observation import HostState
from debship.deploy.places import Place
from debship.deploy.plan import RollPlan
from debship.errors import Failed
from debship.model import DebVersion, PackageName

KEEP = """set -eu
umask 077
mkdir -p -m 0755 -- "$1"
cd -- "$1"
keep=$2
shift 2
if [ "$keep" = keep ] && ! [ -e out.json ]; then
    rm -rf kept
    mkdir kept
    for file; do [ -f "$file" ] && cp -a --parents -- "$file" kept || :; done
fi
cat > out.json.new
sync -- out.json.new
mv -fT -- out.json.new out.json
"""
RETURN = """set -eu
kept=$1/kept
shift
trap 'rm -f -- "${file-}.debship-new"' EXIT
for file; do
    [ -f "$kept$file" ] && ! cmp -s -- "$kept$file" "$file" || continue
    echo "$file"
    cp -a -- "$kept$file" "$file.debship-new"
    touch -- "$file.debship-new"
    mv -fT -- "$file.debship-new" "$file"
done
"""
# Standard input: the line for the history, then, where a version was reached, its record.
# The unit that carried apt was left there for whoever would have had to ask it.
SETTLE = """set -eu
umask 022
mkdir -p -- "$1"
cd -- "$1"
systemctl stop "$2" 2>/dev/null || :
IFS= read -r line
{ tail -n 199 history.jsonl 2>/dev/null || :; printf '%s\\n' "$line"; } > history.jsonl.new
cat > version.json.new
sync -- history.jsonl.new version.json.new
mv -fT -- history.jsonl.new history.jsonl
if [ -s version.json.new ]; then mv -fT -- version.json.new version.json
else rm -f -- version.json.new; fi
rm -f -- out.json
"""


@dataclass(frozen=True, slots=True)
class Before:
    """What a host had that was known to work, to bring it back to."""

    version: DebVersion | None
    held: bool = False  # on hold by an administrator
    previous: str | None = None  # the version before that one, for who rolls back


def before(state: HostState) -> Before:
    """Find what works on a host.

    Where a roll was cut off in the middle, that is what it wrote down, not what happens to be
    installed.
    """
    history = state.history or {}
    previous = history.get("previous")
    if state.out is None:
        version = None if state.package.absent else state.package.version
        return Before(version, state.package.held, previous)
    was = state.out["before"] if "before" in state.out else history.get("version")
    held = state.package.held or bool(state.out.get("held"))
    previous = state.out.get("previous", previous)
    return Before(DebVersion(str(was)) if was else None, held, previous)


def configured(state: HostState) -> bool:
    """Whether a host that is out has the managed files that the roll meant it to have."""
    has = {file.path: file.sha256 for file in state.files}
    wanted = (state.out or {}).get("files", {})
    return all(has.get(path) == digest for path, digest in wanted.items())


def undone(state: HostState, roll: str) -> Before | None:
    """Find what a roll replaced on a host that it had finished; None where it had not."""
    history = state.history or {}
    if history.get("roll") != roll or not history.get("previous"):
        return None
    version = DebVersion(str(history["previous"]))
    return Before(version, state.package.held, history.get("earlier"))


def folder(package: PackageName) -> str:
    """Where the records of a package lie on a host."""
    return f"/var/lib/debship/{package}"


def record_out(
    host: Host,
    plan: RollPlan,
    was: Before,
    *,
    places: Sequence[Place],
    files: Mapping[str, str],
    clock: Clock,
    keep: bool = True,
) -> None:
    """Write down on the host that this roll takes it out, and of what, before it does.

    The managed files are kept as they are; where a roll before left its record, as they were
    when that one began.

    Args:
        files: the paths of the managed files, and the digests that they are to have. Who can read
            the record can read the files, for both are root's.
        keep: whether they are kept; else those that were kept before are what to go back to.
    """
    record = {
        "roll": plan.roll,
        "by": plan.by,
        "since": clock.now(),
        "version": str(plan.version),
        "before": str(was.version) if was.version else None,
        "held": was.held,
        "previous": was.previous,
        "files": dict(files),
        "places": [
            {
                "balancer": p.balancer.name,
                "id": p.member.id,
                "address": p.member.address,
                "port": p.member.port,
                "zone": p.member.zone,
            }
            for p in places
        ],
    }
    how = "keep" if keep else "leave"
    words = ("sh", "-c", KEEP, "debship-keep", folder(plan.app.package), how, *files)
    _must(host, host.run(words, stdin=_line(record)), "it could not be written down")


def return_files(host: Host, package: PackageName, files: Sequence[str]) -> tuple[str, ...]:
    """Put the managed files back as they were kept; those that were not so."""
    if not files:
        return ()
    answer = host.run(("sh", "-c", RETURN, "debship-return", folder(package), *files))
    _must(host, answer, "its files could not be put back")
    return tuple(answer.text.splitlines())


def settle(host: Host, plan: RollPlan, outcome: str, was: Before, clock: Clock) -> None:
    """Write down how a turn ended, and that the host is no longer out.

    Args:
        outcome: ``changed``, or ``returned`` where the host was brought back to what it was.
    """
    had = str(was.version) if was.version else None
    changed = outcome == "changed"
    same = was.version == plan.version  # configuration alone was rolled
    record = {
        "version": str(plan.version) if changed else had,
        "previous": (was.previous if same else had) if changed else was.previous,
        "earlier": was.previous,
        "roll": plan.roll,
        "by": plan.by,
        "at": clock.now(),
    }
    line = _line({**record, "wanted": str(plan.version), "outcome": outcome})
    unit = unit_name(plan.app.package)
    words = ("sh", "-c", SETTLE, "debship-settle", folder(plan.app.package), unit)
    stdin = line + (_line(record) if record["version"] else b"")
    _must(host, host.run(words, stdin=stdin), "how it ended could not be written down")


def read_history(host: Host, package: PackageName) -> tuple[dict[str, Any], ...]:
    """Read what turns left, the oldest first; a damaged line is passed over."""
    answer = host.run(("cat", "--", f"{folder(package)}/history.jsonl"))
    found = []
    for line in answer.text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return tuple(found)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True).encode() + b"\n"


def _must(host: Host, answer: Answer, what: str) -> None:
    if answer.returncode != 0:
        raise Failed(f"{host.address}: {what}: {answer.complaint}")
