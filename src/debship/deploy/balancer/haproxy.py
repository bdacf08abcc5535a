"""HAProxy, by the runtime sockets of its nodes (HAProxy management guide, section 9.3)."""

import csv
import io
import re
import socket
from dataclasses import dataclass

from debship.config.fleet import HaproxySettings
from debship.deploy.balancer.door import Declined, Member, Standing, Terms, Unanswered
from debship.errors import Failed

_READ = "show servers state; show stat"
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
# The worst of several nodes is the truth: a host serves only where no node says otherwise.
_WORST = (
    Standing.DOWN,
    Standing.WAVERING,
    Standing.IN,
    Standing.DRAINING,
    Standing.OUT,
)


@dataclass(frozen=True)
class Haproxy:
    """One backend, on every node that serves it."""

    settings: HaproxySettings
    timeout: float = 5.0  # seconds for one command on one node

    @property
    def name(self) -> str:
        """The backend's name."""
        return f"haproxy/{self.settings.backend}"

    @property
    def terms(self) -> Terms:
        """The stated drain; HAProxy's own checks are a matter of seconds."""
        return Terms(drain=self.settings.drain, rise=60.0, usual_drain=0.5, usual_rise=0.5)

    def members(self) -> tuple[Member, ...]:
        """Read every server of the backend, as the nodes together see it."""
        views = [
            parse_servers(self._ask(node, _READ), self.settings.backend, self.name)
            for node in self.settings.sockets
        ]
        if not views[0]:
            raise Failed(
                f'{self.name}: HAProxy has no backend "{self.settings.backend}" with servers',
                "compare balancers.backend in fleet.toml with HAProxy's configuration",
            )
        return tuple(
            _together([view[server] for view in views if server in view], len(views))
            for server in views[0]
        )

    def absent(self, names: frozenset[str]) -> Member | None:
        """Nobody: HAProxy's configuration makes its servers."""
        return None

    def take_out(self, member: Member) -> None:
        """Set it to drain on every node; its checks go on, so a dead service stays known."""
        self._set(member, "drain")

    def put_back(self, member: Member) -> None:
        """Set it to ready on every node."""
        self._set(member, "ready")

    def health(self, member: Member) -> Member:
        """Read how this server stands now."""
        for candidate in self.members():
            if candidate.id == member.id:
                return candidate
        raise Failed(f"{self.name}: HAProxy no longer has a server {member.id}")

    def _set(self, member: Member, state: str) -> None:
        if not _NAME.fullmatch(member.id):
            raise Declined(f"{self.name}: {member.id!r} is not a server's name")
        # A node that does not answer must not keep the others from hearing.
        errors = [e for node in self.settings.sockets if (e := self._tell(node, member, state))]
        if errors:
            raise errors[0]

    def _tell(self, node: str, member: Member, state: str) -> Failed | None:
        command = f"set server {self.settings.backend}/{member.id} state {state}"
        try:
            said = self._ask(node, command).strip()
        except Unanswered as error:
            return error
        # An empty reply is success, any text is an error.
        return Declined(f"{self.name} at {node}: {command}: {said}") if said else None

    def _ask(self, node: str, command: str) -> str:
        try:
            with _connect(node, self.timeout) as link:
                link.sendall(command.encode() + b"\n")
                chunks = []
                while chunk := link.recv(65536):
                    chunks.append(chunk)
        except OSError as error:
            raise Unanswered(
                f"{self.name}: no answer from HAProxy's socket {node}: {error}",
                "the socket needs `level admin` and must be reachable from here",
            ) from error
        return b"".join(chunks).decode(errors="replace")


def parse_servers(text: str, backend: str, balancer: str) -> dict[str, Member]:
    """Read the servers of one backend from what `show servers state` and `show stat` printed.

    The first knows what an administrator has set, which the second hides behind DOWN once the
    checks of a drained server fail; the second knows the checks and the requests in flight.
    """
    states, _, stats = text.partition("# pxname,")
    stat_rows = csv.DictReader(io.StringIO("pxname," + stats))
    stat = {row["svname"]: row for row in stat_rows if row["pxname"] == backend}
    members = {}
    columns: list[str] = []
    for line in states.splitlines():
        if line.startswith("# "):
            columns = line.removeprefix("# ").split()
        elif columns and line.strip():
            row = dict(zip(columns, line.split(), strict=False))
            if row["be_name"] == backend and row["srv_name"] in stat:
                members[row["srv_name"]] = _member(row, stat[row["srv_name"]], balancer)
    return members


def _member(state: dict[str, str], stat: dict[str, str], balancer: str) -> Member:
    connections = int(stat["scur"] or 0)
    # Any bit of the admin state (maintenance or drain, forced or inherited) keeps requests away.
    held = int(state["srv_admin_state"]) != 0
    return Member(
        balancer=balancer,
        id=state["srv_name"],
        address=state["srv_addr"],
        port=int(state["srv_port"]),
        standing=_standing(stat["status"], connections, held=held),
        connections=connections,
        note=f"{stat['status']} {stat.get('check_status', '')}".strip(),
    )


def _standing(status: str, connections: int, *, held: bool) -> Standing:
    if held:
        return Standing.DRAINING if connections else Standing.OUT
    if status in {"UP", "no check"}:
        return Standing.IN
    # "UP 1/3" is falling, "DOWN 1/2" is rising, "NOLB" answers checks with 404.
    return Standing.WAVERING if "/" in status or status.startswith("UP") else Standing.DOWN


def _together(views: list[Member], nodes: int) -> Member:
    if len(views) < nodes:
        raise Failed(
            f"{views[0].balancer}: not every HAProxy node has a server {views[0].id}",
            "give all nodes the same backend",
        )
    standings = {view.standing for view in views}
    mixed = standings & {Standing.OUT, Standing.DRAINING} and standings & {
        Standing.IN,
        Standing.WAVERING,
    }
    worst = next(standing for standing in _WORST if standing in standings)
    return Member(
        balancer=views[0].balancer,
        id=views[0].id,
        address=views[0].address,
        port=views[0].port,
        # Out of one node and in at another is neither in nor out.
        standing=Standing.WAVERING if mixed else worst,
        connections=sum(view.connections for view in views),
        note="; ".join(dict.fromkeys(view.note for view in views)),
    )


def _connect(node: str, timeout: float) -> socket.socket:
    if node.startswith("tcp://"):
        host, _, port = node.removeprefix("tcp://").rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(timeout)
    try:
        link.connect(node)
    except OSError:
        link.close()
        raise
    return link
