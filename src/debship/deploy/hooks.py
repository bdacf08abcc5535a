"""The user's own commands at moments of a roll: on the host, or on the machine of who rolls.

What is meant once for a version (a migration) is written down on every host that answers, before it
begins and when it has ended, for the host that it ran on may be gone tomorrow; whoever rolls that
version after a roll that died, from whatever machine, reads it there.
"""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from debship.config.fleet import HookSettings, Moment
from debship.deploy.host import Host, LinkLost, Unreachable
from debship.deploy.installation import StepFailed
from debship.deploy.journal import Journal
from debship.deploy.observation import Once
from debship.deploy.plan import RollPlan
from debship.deploy.workers import Workers
from debship.errors import DebshipError, Failed, Refused
from debship.run import Run

ONCE = "once.jsonl"
ANSWERING = 15.0  # seconds that a host's answer may take
GRACE = 10.0  # seconds that a hook whose time is over has to end by itself

NOTE = """set -eu
umask 022
mkdir -p -- "$1"
cd -- "$1"
{ tail -n 199 once.jsonl 2>/dev/null || :; cat; } > once.jsonl.new
sync -- once.jsonl.new
mv -fT -- once.jsonl.new once.jsonl
"""

# A hook's time is over on the host too: who rolls may be gone, and what hangs holds the lock. What a
# hook leaves does not hold it (9, see fence.py): it is no command of the roll. Arguments: SECONDS
# COMMAND...
BOUND = f"""seconds=$1
shift
timeout -v -k {GRACE:g} "$seconds" "$@" 9>&-
exit $?
"""
_ENDED = "timeout: sending signal "


class HookFailed(StepFailed):
    """A hook did not end well, or nobody knows how it ended: the roll goes no further."""


@dataclass
class Hooks:
    """The hooks of one roll.

    Args of the constructor:
        hosts: the whole fleet.
        done: the names of those that are meant once for this version, and were.
        folder: where commands of this machine run.
    """

    plan: RollPlan
    run: Run
    journal: Journal
    workers: Workers
    hosts: Mapping[str, Host]
    done: set[str]
    folder: Path
    halted: str = ""  # why the roll must go no further
    begun: bool = False  # whether a host was to be changed at all
    _mutex: Any = field(init=False)

    def __post_init__(self) -> None:
        """Make what holds the hosts of a batch back while one of them does what is done once."""
        self._mutex = self.workers.mutex()

    def at(self, moment: Moment, host: Host) -> None:
        """Run what belongs to a moment of a host's turn.

        Raises:
            HookFailed: one did not end well.
            LinkLost, Unreachable: the link was lost in one.
        """
        if moment == "before-host":
            with self._mutex:
                if not self.begun:
                    self._all("before-roll", host)
                    self.begun = True
        self._all(moment, host)

    def over(self, stopped: str, host: Host) -> str:
        """Run what belongs to the end of a roll that changed something; what was wrong, or ""."""
        if not self.begun:
            return ""
        try:
            self._all("after-roll", host, DEBSHIP_STOPPED=stopped)
        except DebshipError as error:
            return error.message
        return ""

    def _all(self, moment: Moment, host: Host, **more: str) -> None:
        for hook in self.plan.app.hooks:
            if hook.when != moment:
                continue
            try:
                with self._mutex if hook.once else contextlib.nullcontext():
                    self._run(hook, host, more)
            except DebshipError as error:
                self.halted = self.halted or error.message
                raise

    def _run(self, hook: HookSettings, host: Host, more: Mapping[str, str]) -> None:
        if self.halted:
            raise HookFailed(self.halted)
        with self._remembered(hook, host) as there:
            if there:
                return
            self.journal.write("hook", host.address, name=hook.name, moment=hook.when)
            try:
                code, said = self._command(hook, host, more)
            except (LinkLost, Unreachable) as error:
                what = f"{host.address}: nobody knows how hook {hook.name} ended: {error.message}"
                if hook.when == "before-restart":
                    self.halted = what
                    raise
                raise HookFailed(what) from error
            except Failed as error:
                raise HookFailed(f"hook {hook.name}: {error.message}", "") from error
            self.journal.write("hook-ended", host.address, name=hook.name, code=code)
            if code:
                where = host.address if hook.on == "host" else "here"
                how = f"exited with {code}"
                if hook.on == "host" and _ENDED in said:
                    how = f"was ended: it had not ended after {hook.timeout:g} s"
                raise HookFailed(f"hook {hook.name} {how} ({where})", said)

    def _command(self, hook: HookSettings, host: Host, more: Mapping[str, str]) -> tuple[int, str]:
        """Run it; its exit code and the end of what it said."""
        about = (self.plan.app.name, str(self.plan.version), self.plan.roll, host.address)
        environment = {**told(hook, *about), **more}
        if hook.on == "here":
            done = self.run(
                hook.command, cwd=self.folder, env=environment, timeout=hook.timeout, check=False
            )
            wrote = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
            return done.returncode, "\n".join(wrote.splitlines()[-15:])
        told_of = (f"{name}={value}" for name, value in environment.items())
        beyond = GRACE + ANSWERING  # the host ends it
        answer = host.run(("env", *told_of, *bounded(hook)), timeout=hook.timeout + beyond)
        return answer.returncode, answer.complaint

    @contextlib.contextmanager
    def _remembered(self, hook: HookSettings, host: Host) -> Iterator[bool]:
        """Hold what is meant once to being done once; whether it was done before."""
        if not hook.once:
            yield False
            return
        if hook.name in self.done:
            yield True
            return
        self._note(hook, host, "begun")
        try:
            yield False
        except HookFailed as failed:
            if failed.__cause__ is None:  # it ended, and said no: another roll may try again
                self._note(hook, host, "failed")
            raise
        self.done.add(hook.name)
        self._note(hook, host, "done")

    def _note(self, hook: HookSettings, where: Host, state: str) -> None:
        """Write it down on every host; on the one that it runs on it must be."""
        line = {
            "hook": hook.name,
            "version": str(self.plan.version),
            "state": state,
            "roll": self.plan.roll,
        }
        words = ("sh", "-c", NOTE, "debship-note", _folder(self.plan))
        text = json.dumps(line, sort_keys=True).encode() + b"\n"

        def note(host: Host) -> None:
            try:
                written = host.run(words, stdin=text, timeout=20).returncode == 0
            except (LinkLost, Unreachable):
                written = False
                if host is not where:
                    host.close()
            if host is where and not written:
                raise HookFailed(f"{host.address}: hook {hook.name} could not be written down")

        self.workers.together([functools.partial(note, host) for host in self.hosts.values()])


def open_hooks(
    plan: RollPlan,
    hosts: Mapping[str, Host],
    remembered: Mapping[str, Sequence[Once]],
    *,
    run: Run,
    journal: Journal,
    workers: Workers,
    folder: Path,
    unknown: str = "",
) -> Hooks:
    """Make the hooks of a roll, by what hosts remember of those that are done once.

    Args:
        hosts: the whole fleet.
        remembered: by host, what it knows of those that are done once.
        unknown: what a person found of those whose end nobody knows: they did their work
            ("done"), or are to run "again".

    Raises:
        Refused: one was begun, and nobody knows how it ended.
    """
    version = str(plan.version)
    known = [(host, note) for host, notes in remembered.items() for note in notes]
    known = [(host, note) for host, note in known if note.version == version]
    done = {note.hook for _, note in known if note.state == "done"}
    for hook in plan.app.hooks:
        notes = [(note.roll, note.state, host) for host, note in known if note.hook == hook.name]
        _, state, host = max(
            notes, default=("", "", "")
        )  # of one roll, "failed" came after "begun"
        if not hook.once or hook.name in done or state != "begun" or unknown == "again":
            continue
        if unknown != "done":
            raise Refused(
                f"{host}: hook {hook.name} was begun for {version} by a roll before, and nobody "
                "knows how it ended",
                "see whether it did its work, then roll with --unknown-hooks done, or again",
            )
        done.add(hook.name)
    return Hooks(plan, run, journal, workers, hosts, done, folder)


def bounded(hook: HookSettings) -> tuple[str, ...]:
    """Make the command that runs a hook on a host for as long as it may."""
    return ("sh", "-c", BOUND, "debship-hook", f"{hook.timeout:g}", *hook.command)


def told(hook: HookSettings, app: str, version: str, roll: str, host: str) -> dict[str, str]:
    """What a hook finds in its environment, whatever the moment."""
    return {
        "DEBSHIP_APP": app,
        "DEBSHIP_VERSION": version,
        "DEBSHIP_ROLL": roll,
        "DEBSHIP_HOST": host,
        "DEBSHIP_MOMENT": hook.when,
    }


def _folder(plan: RollPlan) -> str:
    return f"/var/lib/debship/{plan.app.package}"
