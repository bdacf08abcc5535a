"""One host's turn: out of the balancers, changed, proven well, and back; or brought back."""

from dataclasses import dataclass

from debship.deploy import journal
from debship.deploy.balancer.door import Standing
from debship.deploy.configuration import RenderedFile, differing
from debship.deploy.host import LinkLost, Unreachable
from debship.deploy.observation import HostState
from debship.deploy.report import HostReport, Notes, Outcome, masked
from debship.deploy.steps import StepFailed, Steps
from debship.errors import DebshipError, Failed, Refused
from debship.model import DebVersion, Secret


@dataclass(frozen=True, slots=True)
class Kept:
    """What a host had that was known to work, to bring it back to."""

    version: DebVersion | None
    files: tuple[RenderedFile, ...]  # managed files with the content they had


def converged(steps: Steps, state: HostState) -> bool:
    """Whether nothing is left to do: package, what runs, configuration, and every place.

    An installed version alone says nothing: a roll that died between the installation and the
    return left such hosts out, and a deployer that skipped them kept them out.
    """
    version = steps.plan.version
    return (
        state.package.installed
        and state.package.version == version
        and state.runs(version)
        and state.out is None
        and not differing(steps.files, state)
        and not state.stale()
        and all(place.now().standing is Standing.IN for place in steps.places)
    )


def way_back(state: HostState) -> DebVersion | None:
    """The version that is known to work on a host.

    Where a roll was cut off in the middle, that is what the last finished roll left, not what
    happens to be installed.
    """
    if state.out is not None and state.history is not None:
        return DebVersion(str(state.history.get("version")))
    return state.package.version if not state.package.absent else None


def take_turn(steps: Steps, secrets: tuple[Secret, ...], start: float) -> HostReport:
    """Bring one host to the plan's version and configuration, serving.

    Never raises what belongs to this host alone: that is in the report. Only a journal that
    cannot be written ends more than this turn.
    """
    notes = Notes(steps.host.address, start)
    try:
        state = steps.observe()
        notes.before, notes.edited = _installed(state), state.edited
        if converged(steps, state):
            return notes.report(Outcome.UNCHANGED, after=notes.before)
        _must_not_be_held_by_others(steps, state)
        kept = _keep(steps, state)
    except DebshipError as error:
        unknown = isinstance(error, LinkLost | Unreachable)
        outcome = Outcome.UNKNOWN if unknown else Outcome.FAILED
        hint = error.hint or ""
        return notes.report(outcome, after=notes.before, reason=error.message, hint=hint)
    try:
        _go_forward(steps, state, notes)
    except (LinkLost, Unreachable) as error:
        steps.journal.write("unknown", steps.host.address, reason=error.message)
        reason = f"{error.message}; it was left out of its balancers"
        hint = "when it answers again, run the same deploy again"
        return notes.report(Outcome.UNKNOWN, after=None, reason=reason, hint=hint)
    except DebshipError as error:
        return _go_back(steps, kept, error, secrets, notes)
    return notes.report(Outcome.CHANGED, after=str(steps.plan.version))


def _go_forward(steps: Steps, state: HostState, notes: Notes) -> None:
    version, clock = steps.plan.version, steps.clock
    notes.mark("out", clock.monotonic())
    steps.leave(state)
    notes.mark("drained", clock.monotonic())
    if not (state.package.installed and state.package.version == version):
        steps.install(version)
        notes.mark("installed", clock.monotonic())
    steps.configure(steps.files)
    notes.mark("configured", clock.monotonic())
    steps.restart()
    notes.mark("restarted", clock.monotonic())
    steps.prove(version)
    notes.mark("well", clock.monotonic())
    steps.come_back()
    notes.mark("back", clock.monotonic())
    _settle(steps, state)


def _settle(steps: Steps, state: HostState) -> None:
    """Write down what the host was left with, then that it is no longer out."""
    before = way_back(state)
    if before == steps.plan.version and state.history is not None:
        previous = state.history.get("previous")
    else:
        previous = str(before) if before else None
    journal.record_version(steps.host, steps.plan, previous, steps.clock)
    journal.clear_out(steps.host, steps.plan)
    steps.journal.write("done", steps.host.address, version=str(steps.plan.version))


def _go_back(
    steps: Steps, kept: Kept, error: DebshipError, secrets: tuple[Secret, ...], notes: Notes
) -> HostReport:
    """Bring the host back to what it ran, prove it, and let it serve again."""
    log = masked(error.log if isinstance(error, StepFailed) else "", secrets)
    reason = masked(error.message, secrets)
    steps.journal.write("failed", steps.host.address, reason=reason)
    try:
        if notes.reached("drained"):
            if kept.version is None:
                steps.stay_out()
                raise Failed("there was no version before, so there is none to go back to")
            _reinstate(steps, kept)
            steps.prove(kept.version)
        steps.come_back()
        notes.mark("back", steps.clock.monotonic())
        journal.clear_out(steps.host, steps.plan)
        steps.journal.write("returned", steps.host.address, version=str(kept.version))
    except (LinkLost, Unreachable) as lost:
        reason = f"{reason}; then {lost.message}"
        return notes.report(Outcome.UNKNOWN, after=None, reason=reason, log=log)
    except DebshipError as worse:
        reason = f"{reason}; going back: {masked(worse.message, secrets)}"
        hint = "it was left out of its balancers; mend it, then run the deploy again"
        return notes.report(Outcome.FAILED, after=None, reason=reason, hint=hint, log=log)
    return notes.report(Outcome.RETURNED, after=str(kept.version), reason=reason, log=log)


def _reinstate(steps: Steps, kept: Kept) -> None:
    assert kept.version is not None
    steps.stay_out()
    state = steps.observe()
    if not (state.package.installed and state.package.version == kept.version):
        steps.install(kept.version)
    steps.configure(kept.files)
    steps.restart()


def _keep(steps: Steps, state: HostState) -> Kept:
    """Remember the version that works and the managed files as they are."""
    there = {file.path: file for file in state.files}
    files = []
    for file in differing(steps.files, state):
        has = there.get(file.path)
        if has is None:
            continue
        answer = steps.host.run(("cat", "--", file.path))
        if answer.returncode == 0:
            content = Secret(answer.stdout.decode(errors="surrogateescape"))
            files.append(RenderedFile(has.path, has.owner, has.group, has.mode, content))
    return Kept(way_back(state), tuple(files))


def _must_not_be_held_by_others(steps: Steps, state: HostState) -> None:
    """Leave alone what somebody took out of a balancer, and not a roll: they had a reason."""
    aside = {Standing.OUT, Standing.DRAINING}
    if state.out is None and any(place.now().standing in aside for place in steps.places):
        raise Refused(
            "it is out of its balancer, and not by a roll: somebody holds it out",
            "put it back there, then run the deploy again",
        )


def _installed(state: HostState) -> str | None:
    return str(state.package.version) if state.package.installed else None
