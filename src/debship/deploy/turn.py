"""One host's turn: out of the balancers, changed, proven well, and back; or brought back."""

import contextlib

from debship.deploy import services
from debship.deploy.balancer.door import Member, Standing, Unanswered
from debship.deploy.configuration import differing
from debship.deploy.hooks import HookFailed
from debship.deploy.installation import StepFailed
from debship.deploy.observation import HostState
from debship.deploy.records import Before, before
from debship.deploy.report import HostReport, Notes, Outcome
from debship.deploy.steps import Steps
from debship.deploy.stop import Interrupted
from debship.deploy.traffic import ASIDE
from debship.deploy.unfinished import ADRIFT, adrift, left_out, log_of, shown, unbegun
from debship.errors import DebshipError, Failed, Refused
from debship.model import DebVersion, Secret


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
        and _stands(state, steps.traffic.now())
    )


def _stands(state: HostState, seen: tuple[Member, ...]) -> bool:
    """Whether a host stands as it is to; one that is to answer nothing need not be seen well."""
    if state.resting:
        return not any(member.standing in ASIDE for member in seen)
    return all(member.standing is Standing.IN for member in seen)


def take_turn(steps: Steps, secrets: tuple[Secret, ...], start: float) -> HostReport:
    """Bring one host to the plan's version and configuration, serving.

    Never raises what a user can cause: that is in the report.
    """
    notes = Notes(steps.host.address, start)
    try:
        was = _begin(steps, notes)
    except Interrupted:
        return notes.report(Outcome.UNTOUCHED, after=notes.before)
    except HookFailed as error:
        reason, log = shown(error.message, secrets), log_of(error, secrets)
        hint = error.hint or ""
        return notes.report(
            Outcome.UNTOUCHED, after=notes.before, reason=reason, hint=hint, log=log
        )
    except DebshipError as error:
        return unbegun(steps, error, notes, secrets)
    if was is None:
        return notes.report(Outcome.UNCHANGED, after=notes.before, standing="in")
    return _change(steps, was, secrets, notes)


def _begin(steps: Steps, notes: Notes) -> Before | None:
    """Look, and write down that the host will be out; None where nothing is left to do."""
    steps.stop.safe_point()
    state = steps.take(steps.observe)
    notes.before, notes.edited = _installed(state), state.edited
    if converged(steps, state):
        return None
    _must_not_be_held_by_others(steps, state)
    steps.at("before-host")
    was = before(state)
    steps.take(lambda: steps.write_down(was))
    return was


def _change(steps: Steps, was: Before, secrets: tuple[Secret, ...], notes: Notes) -> HostReport:
    try:
        state = _go_forward(steps, was, notes)
    except ADRIFT as error:
        if isinstance(error, Interrupted) and not notes.reached("drained"):
            return _go_back(steps, was, error, secrets, notes)
        return adrift(steps, error, notes, secrets)
    except DebshipError as error:
        # It is proven well: a balancer that says nothing is no reason to take it out again.
        if isinstance(error, Unanswered) and notes.reached("well"):
            return adrift(steps, error, notes, secrets)
        return _go_back(steps, was, error, secrets, notes)
    try:
        steps.take(lambda: steps.settle("changed", was))
    except DebshipError as error:
        return adrift(steps, error, notes, secrets)
    reason = log = ""
    notes.edited = state.edited
    with contextlib.suppress(DebshipError):
        notes.edits = shown(services.edits(steps.host, steps.plan.app.package, state), secrets)
    try:
        steps.at("after-host")
    except DebshipError as error:
        reason, log = shown(error.message, secrets), log_of(error, secrets)
    return notes.report(
        Outcome.CHANGED, after=str(steps.plan.version), reason=reason, log=log, standing="in"
    )


def undo_turn(
    steps: Steps, was: Before, reason: str, secrets: tuple[Secret, ...], notes: Notes
) -> HostReport:
    """Take back what this roll did to a host that it had finished."""
    error = Failed(reason)
    if steps.stop.now:
        return notes.report(Outcome.CHANGED, after=str(steps.plan.version), standing="in")
    try:
        steps.take(lambda: steps.write_down(was, keep=False))
        notes.mark("out again", steps.clock.monotonic())
        steps.take(steps.leave)
        notes.mark("drained", steps.clock.monotonic())
    except ADRIFT as lost:
        return adrift(steps, lost, notes, secrets)
    except DebshipError as worse:
        return left_out(steps, worse, notes, secrets, f"{reason}; going back: ")
    return _go_back(steps, was, error, secrets, notes)


def _go_forward(steps: Steps, was: Before, notes: Notes) -> HostState:
    version, clock = steps.plan.version, steps.clock
    notes.mark("out", clock.monotonic())
    steps.take(steps.leave)
    steps.stop.safe_point()
    notes.mark("drained", clock.monotonic())
    state = steps.take(lambda: steps.install(version, held=was.held))
    notes.mark("installed", clock.monotonic())
    steps.stop.safe_point()
    steps.take(lambda: steps.configure(steps.files, state))
    notes.mark("configured", clock.monotonic())
    steps.at("before-restart")
    begun = steps.take(lambda: steps.restart(state))
    notes.mark("restarted", clock.monotonic())
    steps.take(lambda: steps.prove(version, state, begun))
    notes.mark("well", clock.monotonic())
    steps.take(lambda: steps.come_back(state))
    notes.mark("back", clock.monotonic())
    steps.take(lambda: steps.soak(version))
    return state


def _go_back(
    steps: Steps, was: Before, error: DebshipError, secrets: tuple[Secret, ...], notes: Notes
) -> HostReport:
    """Bring the host back to what it ran, prove it, and let it serve again."""
    log, reason = log_of(error, secrets), shown(error.message, secrets)
    version_failed = isinstance(error, StepFailed) and not error.of_host
    well = False
    try:
        steps.journal.write("failed", steps.host.address, reason=reason)
        if notes.reached("drained"):
            if was.version is None:
                raise Failed("there was no version before, so there is none to go back to")
            state = reinstate(steps, was, was.version)
        else:
            state = steps.take(steps.observe)
        well = True
        steps.take(lambda: steps.come_back(state))
        notes.mark("back", steps.clock.monotonic())
    except ADRIFT as lost:
        return adrift(steps, lost, notes, secrets, because=f"{reason}; then ", log=log)
    except DebshipError as worse:
        because = f"{reason}; going back: "
        if well and isinstance(worse, Unanswered):
            return adrift(steps, worse, notes, secrets, because=because, log=log)
        if worse.message == error.message:  # what it ran before fails alike: it is the host
            version_failed = False
        return left_out(
            steps,
            worse,
            notes,
            secrets,
            because,
            log=log,
            hint=error.hint,
            version_failed=version_failed,
        )
    try:
        steps.take(lambda: steps.settle("returned", was))
    except DebshipError as lost:
        return adrift(steps, lost, notes, secrets, because=f"{reason}; then ", log=log)
    return notes.report(
        Outcome.UNTOUCHED if isinstance(error, Interrupted) else Outcome.RETURNED,
        after=str(was.version),
        reason=reason,
        hint=error.hint or "",
        log=log,
        standing="in",
        version_failed=version_failed,
    )


def reinstate(steps: Steps, was: Before, version: DebVersion) -> HostState:
    """Make a host run what it ran before, out of its balancers, and prove it; its state."""
    steps.take(steps.leave)
    state = steps.take(lambda: steps.install(version, held=was.held))
    steps.take(steps.return_files)
    steps.take(lambda: steps.restart(state))
    steps.take(lambda: steps.prove(version, state))
    return state


def _must_not_be_held_by_others(steps: Steps, state: HostState) -> None:
    """Leave alone what somebody took out of a balancer, and not a roll: they had a reason."""
    if state.out is None and any(m.standing in ASIDE for m in steps.traffic.now()):
        raise Refused(
            "it is out of its balancer, and not by a roll of "
            f"{steps.plan.app.package}: somebody holds it out",
            "put it back there, then run the deploy again; the roll of another application of that "
            "balancer does so by itself",
        )


def _installed(state: HostState) -> str | None:
    return str(state.package.version) if state.package.installed else None
