"""Ways to write the roll wrong, each of which the simulation must find.

A mutant is a replacement in the text of one module, made as it is imported: the file on the disk
stays as it is.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Mutant:
    """One mistake."""

    name: str
    module: str
    before: str
    after: str
    times: int = 1  # that ``before`` occurs


def _m(name: str, module: str, before: str, after: str, times: int = 1) -> Mutant:
    return Mutant(name, f"debship.deploy.{module}", before, after, times)


MUTANTS = (
    # Those that deploy.md section 6 lists.
    _m(
        "skip the drain wait",
        "steps",
        "left = self.traffic.drained(self.stop.safe_point)",
        "left = 0",
    ),
    _m(
        "trust apt's exit code",
        "installation",
        "        if _whole(state, version):\n            break",
        "        if not answer.returncode:\n            break",
    ),
    _m(
        "skip hosts already at the version",
        "turn",
        "        and state.runs(version)\n        and state.out is None\n",
        "    ) or (\n        state.package.installed and state.package.version == version\n",
    ),
    _m(
        "forget the port",
        "places",
        '            p["port"],\n            Standing.OUT,',
        "            8080,\n            Standing.OUT,",
    ),
    _m(
        "put back before the health check",
        "turn",
        '    steps.take(lambda: steps.prove(version, state, begun))\n    notes.mark("well", clock.monotonic())\n'
        "    steps.take(lambda: steps.come_back(state))\n",
        "    steps.take(lambda: steps.come_back(state))\n"
        "    steps.take(lambda: steps.prove(version, state))\n",
    ),
    _m(
        "let the lock go in `except Exception` only",
        "lock",
        "        finally:\n            self._drop(hosts)",
        "        except Exception:\n            self._drop(hosts)\n            raise",
    ),
    _m(
        "a waiter that dies of the first throttle",
        "traffic",
        "                if self.clock.monotonic() > deadline:\n                    raise\n            self.clock.sleep(1.0)",
        "                raise\n            self.clock.sleep(1.0)",
    ),
    _m(
        "run every host to the end, whatever failed",
        "roll",
        "        if len(failed) <= self.plan.app.budget:",
        "        if True:",
    ),
    # And more of the same kind.
    _m("no capacity check", "places", "        if len(left) < minimum:", "        if False:"),
    _m(
        "judge capacity once, at the start",
        "roll",
        "            if why := self._forbidden(batch):\n                return why\n            left",
        "            if first and (why := self._forbidden(batch)):\n                return why\n            left",
    ),
    _m(
        "act first, write down after",
        "turn",
        "    steps.take(lambda: steps.write_down(was))\n    return was",
        "    steps.traffic.take_out()\n    steps.take(lambda: steps.write_down(was))\n    return was",
    ),
    _m(
        "take a lost link for a failure",
        "unfinished",
        "ADRIFT = (LinkLost, Unreachable, Fenced, JournalLost, Interrupted)",
        "ADRIFT = (Fenced, JournalLost, Interrupted)",
    ),
    _m(
        "take the link's loss for the end of the step",
        "steps",
        "            self._reach()\n        raise",
        "            return None\n        raise",
    ),
    _m(
        "blame a version for what fails on a host that is shut down",
        "steps",
        "if not (left and self._goes_down()):",
        "if True:",
    ),
    _m(
        "take a host that goes down for one that came back",
        "observation",
        "if state.going_down:",
        "if False:",
    ),
    _m("no fence", "fence", "guarded(argv, self.path, self.roll)", "tuple(argv)"),
    _m(
        "the version alone says what to go back to",
        "records",
        "    if state.out is None:\n        version",
        "    if True:\n        version",
    ),
    _m(
        "keep the new files as those to go back to",
        "turn",
        "steps.write_down(was, keep=False)",
        "steps.write_down(was)",
    ),
    _m(
        "leave the files of the new version when going back",
        "turn",
        "    steps.take(steps.return_files)\n",
        "",
    ),
    _m(
        "forget the hold",
        "records",
        "return Before(version, state.package.held, previous)",
        "return Before(version, False, previous)",
    ),
    _m("no soak", "turn", "    steps.take(lambda: steps.soak(version))\n", ""),
    _m(
        "take no heed of a reload",
        "traffic",
        "        if any(member.standing in SERVED for member in self.now()):",
        "        if False:",
    ),
    _m(
        "leave the record behind",
        "turn",
        '        steps.take(lambda: steps.settle("changed", was))\n',
        "        pass\n",
    ),
    _m(
        "no way back",
        "turn",
        "state = reinstate(steps, was, was.version)",
        "state = steps.observe()",
    ),
    _m(
        "stop in the middle of everything", "stop", "        if self.now:", "        if self.asked:"
    ),
    _m(
        "a heart that does not beat",
        "lock",
        '        self.door.run(("true",), timeout=10)',
        "        pass",
    ),
    _m(
        "forget which migrations were made",
        "hooks",
        "hosts, done, folder)",
        "hosts, set(), folder)",
    ),
    _m(
        "remember a migration on its own host alone",
        "hooks",
        "[functools.partial(note, host) for host in self.hosts.values()]",
        "[functools.partial(note, where)]",
    ),
    _m(
        "begin a migration again whose end nobody knows",
        "hooks",
        ' or state != "begun"',
        " or True",
    ),
    _m(
        "take over without waiting",
        "holder",
        "            if holder.age > LEASE or dead(holder.process):",
        "            if True:",
    ),
)


class Mutation(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module with a mistake in it."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        return importlib.util.spec_from_file_location(
            name, spec.origin, loader=self._source(name, spec.origin)
        )

    def _source(self, name: str, origin: str) -> importlib.abc.Loader:
        mutant = self.mutant

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str):
                text = self.get_source(fullname)
                assert text is not None
                assert text.count(mutant.before) == mutant.times, (
                    f"{mutant.name}: the code has changed"
                )
                return compile(text.replace(mutant.before, mutant.after), origin, "exec")

        return Loader(name, origin)


def mutate(name: str) -> None:
    """Make one mistake in what is imported from now on."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    assert mutant.module not in sys.modules, "it was imported before"
    sys.meta_path.insert(0, Mutation(mutant))
