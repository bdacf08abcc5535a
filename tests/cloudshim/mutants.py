"""Ways to write the doors to AWS wrong, each of which a test must find.

As a plugin of pytest (``-p cloudshim.mutants``) it makes the one that DEBSHIP_MUTANT names.
"""

import os
import sys
from dataclasses import dataclass

from simulation.mutants import Mutant, Mutation


@dataclass(frozen=True)
class AwsMutant(Mutant):
    """One mistake, and where it must be found."""

    found_by: str = "test_aws_roll.py"


def _m(
    name: str, module: str, before: str, after: str, *, by: str = "test_aws_roll.py", times: int = 1
) -> AwsMutant:
    return AwsMutant(name, f"debship.deploy.{module}", before, after, times, by)


GROUP, CLASSIC, AUTO = "test_target_group.py", "test_classic_elb.py", "test_scaling_group.py"
MUTANTS = (
    _m(
        "forget the port",
        "balancer.target_group",
        '{"Id": member.id, "Port": member.port}',
        '{"Id": member.id}',
        by=GROUP,
    ),
    _m(
        "take every unused target for one that left",
        "balancer.target_group",
        '            "Target.NotInUse": Standing.IDLE,\n',
        '            "Target.NotInUse": Standing.OUT,\n',
    ),
    _m(
        "take a sick target for one that is in",
        "balancer.target_group",
        '        "unhealthy": Standing.DOWN,\n',
        '        "unhealthy": Standing.IN,\n',
        by=GROUP,
    ),
    _m(
        "believe what was seen before a change",
        "balancer.target_group",
        "                self._seen = None\n",
        "                pass\n",
        by=GROUP,
    ),
    _m(
        "know no fail-open",
        "balancer.target_group",
        "if here and len(well) < floor.of(len(here)):",
        "if False:",
        by=GROUP,
    ),
    _m(
        "wait as long as the stock waiter",
        "balancer.target_group",
        "        drain=delay + 60.0,\n",
        "        drain=600.0,\n",
        by=GROUP,
    ),
    _m(
        "forget who would be there",
        "balancer.target_group",
        "        port = self.settings.port or self.group.port\n",
        "        return None\n        port = 0\n",
        by=GROUP,
    ),
    _m(
        "judge a classic instance by its state alone",
        "balancer.classic_elb",
        '    if "deregistration currently in progress" in said:\n',
        "    if False:\n",
        by=CLASSIC,
    ),
    _m(
        "ask a classic balancer for its list alone",
        "balancer.classic_elb",
        "                self._named.add(member.id)\n",
        "                pass\n",
        by=CLASSIC,
    ),
    _m(
        "die of the first throttle",
        "aws",
        "if not isinstance(found, Unanswered) or self.clock.monotonic() >= deadline:",
        "if True:",
        by=GROUP,
    ),
    _m(
        "ask again what was denied",
        "aws",
        '        return AwsRefused(f"{action}: {said}", hint, code)\n',
        '        return Unanswered(f"{action}: {said}", hint)\n',
        by=GROUP,
    ),
    _m(
        "assume that a lost answer had no effect",
        "balancer.scaling_group",
        "            if self.health(member).standing is before:\n                raise\n",
        "            raise\n",
        by=AUTO,
    ),
    _m(
        "resume what was suspended before",
        "scaling",
        "resume = [name for name in found.resume if name in suspended]",
        "resume = [name for name in PROCESSES if name in suspended]",
        by=AUTO,
    ),
    _m(
        "change first, write the tag after",
        "scaling",
        '    if found is None:\n        found = Hold(int(told["MinSize"]), still)\n'
        "        _write_tag(group, found)\n",
        '    if found is None:\n        found = Hold(int(told["MinSize"]), still)\n'
        '        group.change("suspend_processes", ScalingProcesses=list(still))\n'
        "        _write_tag(group, found)\n",
        by=AUTO,
    ),
    _m(
        "raise MinSize over what the group wants",
        "scaling",
        'size = min(found.minimum, int(told["DesiredCapacity"]))',
        "size = found.minimum",
        by=AUTO,
    ),
    _m(
        "hold a group before there is a lock",
        "recipe",
        "        _lock(app, world, order).held(doors, world.connect) as hosts,\n"
        "        world.held(say) as still_held,\n",
        "        world.held(say) as still_held,\n"
        "        _lock(app, world, order).held(doors, world.connect) as hosts,\n",
    ),
    _m(
        "leave newcomers as they came",
        "surroundings",
        "            if not came:\n",
        "            if True:\n",
    ),
    _m(
        "leave the first balancer alone",
        "traffic",
        "        for place in self.places:\n"
        "            self._move(lambda p=place: p.balancer.take_out(p.member))",
        "        for place in self.places[:1]:\n"
        "            self._move(lambda p=place: p.balancer.take_out(p.member))",
    ),
    _m(
        "believe a network balancer alone",
        "traffic",
        "frozenset(p.member.port for p in self.places if p.balancer.terms.lingers)",
        "frozenset()",
    ),
    _m("no floor", "places", "        if floors and (below", "        if False and (below"),
    _m(
        "know no zones",
        "places",
        "{m.zone for m in members if key(m) in gone} if floor.by_zone else {None}",
        "{None}",
    ),
    _m(
        "one lucky look is enough",
        "balancer.target_group",
        "    looks = 3 if checked else 1",
        "    looks = 1",
        by=GROUP,
    ),
)


def mutate(name: str) -> None:
    """Make one mistake in what is imported from now on."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    assert mutant.module not in sys.modules, "it was imported before"
    sys.meta_path.insert(0, Mutation(mutant))


if name := os.environ.get("DEBSHIP_MUTANT"):
    mutate(name)
