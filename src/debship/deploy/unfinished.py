"""How a turn ends that is not finished: the host is left as it is, and told of, with the way out."""

from debship.deploy.balancer.door import Unanswered
from debship.deploy.fence import Fenced
from debship.deploy.host import LinkLost, Unreachable
from debship.deploy.installation import StepFailed
from debship.deploy.journal import JournalLost
from debship.deploy.report import HostReport, Notes, Outcome, masked
from debship.deploy.steps import Steps
from debship.deploy.stop import Interrupted
from debship.errors import DebshipError
from debship.model import Secret

AGAIN = "when it answers again, run the same deploy again, or: fab restore"
MENDED = "mend it, then run the same deploy again, or: fab restore"
# Whatever may be true of the host now, this roll cannot tell, or may not act.
ADRIFT = (LinkLost, Unreachable, Fenced, JournalLost, Interrupted)


def adrift(
    steps: Steps,
    error: DebshipError,
    notes: Notes,
    secrets: tuple[Secret, ...] | None,
    *,
    because: str = "",
    log: str = "",
) -> HostReport:
    """Leave a host that cannot be told, or may not be touched: with its record, as it stands."""
    standing = steps.traffic.told()
    return notes.report(
        Outcome.UNKNOWN,
        after=None,
        reason=f"{because}{shown(error.message, secrets)}; it stands {_where(standing)}",
        hint=AGAIN if isinstance(error, (*ADRIFT, Unanswered)) else MENDED,
        log=log,
        standing=standing,
    )


def left_out(
    steps: Steps,
    error: DebshipError,
    notes: Notes,
    secrets: tuple[Secret, ...] | None,
    because: str = "",
    *,
    log: str = "",
    hint: str | None = None,
    version_failed: bool = False,
) -> HostReport:
    """Leave a host that could not be brought back out of its balancers.

    Args:
        log: what was written before it was to go back; what was written then follows.
        hint: the way out of what failed before it was to go back.
    """
    reason = because + shown(error.message, secrets)
    try:
        steps.traffic.take_out()
    except DebshipError as worse:
        reason += f"; taking it out: {shown(worse.message, secrets)}"
    standing = steps.traffic.told()
    return notes.report(
        Outcome.FAILED,
        after=None,
        reason=f"{reason}; it stands {_where(standing)}",
        hint="; ".join(dict.fromkeys(filter(None, (hint, error.hint, MENDED)))),
        log="\n".join(filter(None, (log, log_of(error, secrets)))),
        standing=standing,
        version_failed=version_failed,
    )


def unbegun(
    steps: Steps, error: DebshipError, notes: Notes, secrets: tuple[Secret, ...]
) -> HostReport:
    """Report a host that nothing was done to."""
    unknown = isinstance(error, ADRIFT)
    return notes.report(
        Outcome.UNKNOWN if unknown else Outcome.FAILED,
        after=notes.before,
        reason=shown(error.message, secrets),
        hint=error.hint or (AGAIN if unknown else ""),
        standing=steps.traffic.told(),
    )


def log_of(error: DebshipError, secrets: tuple[Secret, ...] | None) -> str:
    """The log that came with an error; none where what it must not show is not known."""
    return (
        shown(error.log, secrets) if isinstance(error, StepFailed) and secrets is not None else ""
    )


def shown(text: str, secrets: tuple[Secret, ...] | None) -> str:
    """What may be shown of a text."""
    return masked(text, secrets or ())


def _where(standing: str) -> str:
    return {
        "in": "in its balancers",
        "out": "out of its balancers",
        "in part": "out of some of its balancers",
        "": "behind no balancer",
    }.get(standing, "nobody can tell where")
