"""A host as one roll may use it: each command proves there that the lock is still its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from debship.deploy.clock import Clock
from debship.deploy.command import put_words
from debship.deploy.host import Answer, Host
from debship.errors import Failed, Uncertain

JUST = 2.0  # seconds in which a lock that was ours is taken to be ours still

# The lock's file is held shared while the command runs: who takes the lock over waits for its end.
# The shell stays, and gives 128+N for a command that a signal N ended: a connection has no exit code
# for that, and it would look like a link that was lost.
_FENCED = 75
_GUARD = """exec 9>>"$1" && flock -s -w 30 9 || { echo "debship: the lock cannot be read" >&2; exit 75; }
read -r roll rest < "$1" || roll=-
[ "$roll" = "$2" ] || { echo "debship: fenced by $roll $rest" >&2; exit 75; }
touch -- "$1"
shift 2
"$@"
exit $?
"""


class Fenced(Uncertain):
    """The lock is no longer this roll's: it was broken, or taken over. Nothing more is touched."""


@dataclass
class GuardedHost:
    """A host as one roll may use it: only while the lock there is its own."""

    inner: Host
    path: str
    roll: str
    clock: Clock
    lost: list[str]  # where and how the lock was lost; shared by the hosts of a roll
    confirmed: float = 0.0  # when the lock was last known to be ours, by our monotonic clock

    @property
    def address(self) -> str:
        """The host's name."""
        return self.inner.address

    @property
    def calls(self) -> int:
        """Programs run there so far."""
        return int(getattr(self.inner, "calls", 0))

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        """Run a program there, if the lock is still ours.

        Raises:
            Fenced: it is not; the program was not run.
        """
        if self.lost:
            raise Fenced(self.lost[0])
        asked = self.clock.monotonic()
        answer = self.inner.run(guarded(argv, self.path, self.roll), stdin=stdin, timeout=timeout)
        if answer.returncode == _FENCED:
            if said := _turned_away(answer):
                self.lost.append(f"{self.address}: this roll no longer holds the lock: {said}")
                raise Fenced(self.lost[0])
        else:
            self.confirmed = asked
        return answer

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        """Write a file there; see ``Host``."""
        answer = self.run(put_words(path, owner, group, mode), stdin=data)
        if answer.returncode != 0:
            raise Failed(f"{self.address}: {path} could not be written: {answer.complaint}")

    def confirm(self) -> None:
        """See that the lock is ours before something is done that no host can refuse.

        Nobody takes over before a lease is over, but somebody may have broken the lock; what a
        call before has just told need not be asked again.
        """
        if self.lost:
            raise Fenced(self.lost[0])
        if self.clock.monotonic() - self.confirmed > JUST:
            answer = self.run(("true",))
            if answer.returncode != 0:
                raise Failed(f"{self.address}: the lock could not be seen: {answer.complaint}")

    def close(self) -> None:
        """Let the connection go."""
        self.inner.close()


def _turned_away(answer: Answer) -> str:
    """What the guard said; "" where it did not, and a command left its exit code.

    A host's shell and sudo may write lines of their own before: of a locale, of a name.
    """
    lines = answer.stderr.decode(errors="replace").splitlines()
    mark = "debship: "
    return next((line.removeprefix(mark) for line in lines if line.startswith(mark)), "")


def guarded(argv: Sequence[str], path: str, roll: str) -> tuple[str, ...]:
    """Make a command that runs only while a lock is a roll's."""
    return ("sh", "-c", _GUARD, "debship-guard", path, roll, *argv)
