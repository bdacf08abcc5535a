"""One question to every host at once; who answered, and who did not and why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from debship.deploy.host import Host, LinkLost
from debship.deploy.workers import Workers
from debship.errors import DebshipError, Failed

T = TypeVar("T")
H = TypeVar("H", bound=Host)


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What hosts said, and what was wrong with each that said nothing of use."""

    told: dict[str, T]
    silent: dict[str, DebshipError]

    def why(self) -> dict[str, str]:
        """What was wrong, in a line for each."""
        return {host: reason(host, error) for host, error in self.silent.items()}


def ask_all(hosts: Mapping[str, H], ask: Callable[[H], T], workers: Workers) -> Answers[T]:
    """Do one thing on every host at once; it must be such that it can be done again.

    A link that is lost once is opened again: before a roll has begun that is no reason to stop.
    """

    def attempt(host: H) -> tuple[T] | DebshipError:
        for again in (True, False):
            try:
                return (ask(host),)
            except LinkLost as error:
                if not again:
                    return error
                host.close()
            except DebshipError as error:
                return error
        raise AssertionError("the second time is the last")

    results = workers.together([partial(attempt, host) for host in hosts.values()])
    named = dict(zip(hosts, results, strict=True))
    return Answers(
        {name: result[0] for name, result in named.items() if isinstance(result, tuple)},
        {name: error for name, error in named.items() if isinstance(error, DebshipError)},
    )


def ask_some(hosts: Mapping[str, H], ask: Callable[[H], T], workers: Workers) -> Answers[T]:
    """Ask every host; those that do not answer are told apart.

    Raises:
        Failed: none answers.
    """
    answers = ask_all(hosts, ask, workers)
    if answers.silent and not answers.told:
        raise nobody(answers.silent)
    return answers


def nobody(silent: Mapping[str, DebshipError]) -> Failed:
    """Say that no host answers, and why none does."""
    said = [f"{host}: {reason(host, error)}" for host, error in silent.items()]
    hint = next((error.hint for error in silent.values() if error.hint), None)
    return Failed("\n".join(("no host answers", *said)), hint)


def everywhere(
    hosts: Mapping[str, H], action: Callable[[H], T], what: str, workers: Workers
) -> dict[str, T]:
    """Do one thing on every host at once; see ``ask_all``.

    Args:
        what: the condition of things where some could not, for the message.

    Raises:
        Failed: some hosts could not; all of them are named.
    """
    answers = ask_all(hosts, action, workers)
    errors = tuple(answers.silent.values())
    if errors:
        message = "\n".join(dict.fromkeys(error.message for error in errors))
        hint = next((error.hint for error in errors if error.hint), None)
        kind = type(errors[0]) if len({type(e) for e in errors}) == 1 else Failed
        raise kind(f"{message}\n{what}", hint)
    return answers.told


def reason(host: str, error: DebshipError) -> str:
    """What was wrong with a host, in one line that need not name it again."""
    return "; ".join(error.message.removeprefix(f"{host}: ").split("\n"))
