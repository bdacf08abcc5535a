"""Steady load on a service, for rehearsals: a request is due each 1/rate of a second.

It runs in a process of its own (``python -m debship.lab.traffic``), so that what is measured and
what measures do not share an interpreter, writes a line for each answer, and ends by itself.
"""

import http.client
import ipaddress
import itertools
import json
import sys
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from debship.errors import Misused
from debship.lab.recorder import Recorder, print_line, ready

_ALLOWED = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
    ipaddress.ip_network("10.77.0.0/16"),  # labs
)
_LATE = 1.0  # seconds after which a request that is due is left out, not made up for


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request."""

    at: float  # time.monotonic() of its start, the same for all processes of a machine
    latency: float  # seconds
    status: int | None  # None where there was no answer
    error: str | None  # "refused", "reset", "timeout", or another kind
    host: str | None  # who answered, by the JSON's "host" or the header x-served-by
    version: str | None  # by the JSON's "version"

    @property
    def failed(self) -> bool:
        """Whether it was anything but a 2xx."""
        return self.status is None or not 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """What became of all requests."""

    answers: tuple[Answer, ...]

    @property
    def total(self) -> int:
        """How many requests were made."""
        return len(self.answers)

    @property
    def failures(self) -> tuple[Answer, ...]:
        """Those that failed, in order."""
        return tuple(answer for answer in self.answers if answer.failed)

    @property
    def failed(self) -> int:
        """How many failed."""
        return len(self.failures)

    @property
    def slowest(self) -> float:
        """The longest that a client waited, in seconds."""
        return max((answer.latency for answer in self.answers), default=0.0)

    @property
    def served(self) -> Counter[tuple[str | None, str | None]]:
        """How many were answered by each (host, version)."""
        good = (answer for answer in self.answers if not answer.failed)
        return Counter((answer.host, answer.version) for answer in good)


class Traffic:
    """Load from ``start`` (or ``with``) to ``stop``.

    Args:
        url: of what answers; on this machine or in a lab, for nobody else asked for load.
        log: the file that answers are written to, a JSON object a line.
        rate: requests a second in all.
        workers: requests at the same time at most, each on a connection of its own.
        keep_alive: one more client, which keeps its connection, and makes a tenth of the requests.
        timeout: seconds that a client waits.
        limit: seconds after which it ends in any case.

    Raises:
        Misused: the URL is of another machine.
    """

    def __init__(
        self,
        url: str,
        *,
        log: Path,
        rate: float = 100.0,
        workers: int = 8,
        keep_alive: bool = False,
        timeout: float = 5.0,
        limit: float = 600.0,
    ) -> None:
        check_target(url)
        order = Order(url, rate, workers, keep_alive, timeout, limit)
        self._recorder = Recorder("debship.lab.traffic", (json.dumps(asdict(order)),), log)

    def start(self) -> None:
        """Begin; the first request is on its way within a second."""
        self._recorder.start()

    def stop(self) -> TrafficReport:
        """End: requests that are under way are waited for."""
        return self._read(self._recorder.stop())

    def so_far(self) -> TrafficReport:
        """What became of the requests until now."""
        return self._read(self._recorder.read())

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._recorder.stop()

    @staticmethod
    def _read(lines: Iterable[dict[str, Any]]) -> TrafficReport:
        answers = (Answer(**line) for line in lines)
        return TrafficReport(tuple(sorted(answers, key=lambda answer: answer.at)))


def check_target(url: str) -> None:
    """Refuse to put load on what is not this machine's.

    Raises:
        Misused: it is not, or it is no http URL.
    """
    parts = urllib.parse.urlsplit(url)
    name = parts.hostname or ""
    try:
        address = ipaddress.ip_address("127.0.0.1" if name == "localhost" else name)
        allowed = any(address in network for network in _ALLOWED)
    except ValueError:
        allowed = False
    if parts.scheme != "http" or not allowed:
        raise Misused(
            f"load may go to this machine and its labs alone, not to {url}",
            "an http:// URL at 127.0.0.0/8 or 10.77.0.0/16",
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What the process of its own is told."""

    url: str
    rate: float
    workers: int
    keep_alive: bool
    timeout: float
    limit: float


class _Client:
    """Makes requests one after another; each on a new connection unless it keeps its own."""

    def __init__(self, order: Order, *, keep: bool) -> None:
        parts = urllib.parse.urlsplit(order.url)
        self.place = (parts.hostname or "", parts.port or 80)
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.timeout, self.keep = order.timeout, keep
        self.kept: http.client.HTTPConnection | None = None

    def ask(self) -> Answer:
        at = time.monotonic()
        connection, self.kept = self.kept, None
        used = connection is not None
        try:
            status, host, version = self._exchange(connection or self._connect())
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            # A kept connection may be closed while nothing is under way; any client asks anew
            # then (RFC 9112 9.3.1).
            if used:
                return self.ask()
            return Answer(at, time.monotonic() - at, None, _kind(error), None, None)
        except (OSError, http.client.HTTPException) as error:
            return Answer(at, time.monotonic() - at, None, _kind(error), None, None)
        return Answer(at, time.monotonic() - at, status, None, host, version)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.place, timeout=self.timeout)

    def _exchange(
        self, connection: http.client.HTTPConnection
    ) -> tuple[int, str | None, str | None]:
        try:
            headers = {} if self.keep else {"Connection": "close"}
            connection.request("GET", self.target, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except BaseException:
            connection.close()
            raise
        if self.keep and not response.will_close:
            self.kept = connection
        else:
            connection.close()
        host, version = _who(body)
        return response.status, host or response.headers.get("x-served-by"), version


def _who(body: bytes) -> tuple[str | None, str | None]:
    try:
        answer = json.loads(body)
        return answer.get("host"), answer.get("version")
    except (ValueError, AttributeError):
        return None, None


def _kind(error: Exception) -> str:
    kinds = {
        ConnectionRefusedError: "refused",
        TimeoutError: "timeout",
        ConnectionResetError: "reset",
        BrokenPipeError: "reset",
        http.client.RemoteDisconnected: "reset",
    }
    return kinds.get(type(error), type(error).__name__)


def drive(order: Order) -> None:
    """Make the requests until told to stop, or until the limit; write each answer as a line."""
    begin, stopped, lock = time.monotonic(), ready(), threading.Lock()
    kept = order.rate / 10 if order.keep_alive else 0.0

    def work(client: _Client, tickets: Iterable[int], rate: float) -> None:
        for ticket in tickets:
            due = begin + ticket / rate
            if due > begin + order.limit:
                return
            if time.monotonic() - due > _LATE:
                continue
            if stopped.wait(max(0.0, due - time.monotonic())):
                return
            answer = asdict(client.ask())
            with lock:
                print_line(answer)

    # itertools.count gives a number in one step of the interpreter: never the same one twice.
    shared = itertools.count()
    works = [(_Client(order, keep=False), shared, order.rate - kept) for _ in range(order.workers)]
    if order.keep_alive:
        works.append((_Client(order, keep=True), itertools.count(), kept))
    workers = [threading.Thread(target=work, args=args) for args in works]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    drive(Order(**json.loads(sys.argv[1])))
