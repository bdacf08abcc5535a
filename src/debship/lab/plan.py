"""What a lab is made of, decided before anything is made: names, addresses, places."""

import re
from dataclasses import dataclass
from pathlib import Path

from debship.debian.releases import release
from debship.errors import Misused

STATE = Path("/var/lib/debship/lab")  # a folder a lab
RUNTIME = Path("/run/debship/lab")  # a folder a number
CACHE = Path("/var/cache/debship/roots")
NUMBERS = range(1, 255)  # the third part of a lab's addresses
REPOSITORY_PORT = 8080
SOCKET_PORT = 9999

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_MOST_HOSTS = 200  # addresses .11 to .210
_FIRST_ADDRESS = 11


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host of a lab."""

    name: str
    address: str
    release: str  # codename
    namespace: str  # of the network; of the machine for systemd-nspawn too
    veth: str  # the outer end of its cable

    @property
    def mac(self) -> str:
        """Its hardware address: locally administered, and made of the address that it is for."""
        return "02:00:" + ":".join(f"{int(byte):02x}" for byte in self.address.split("."))


@dataclass(frozen=True, slots=True)
class Backend:
    """An application that all hosts serve, behind the lab's load balancer."""

    name: str
    port: int  # on the hosts, and on the balancer
    health: str | None  # path that answers 200; None: a connection is enough


@dataclass(frozen=True, slots=True)
class LabPlan:
    """A lab: everything about it that is decided, nothing that is observed."""

    name: str
    number: int
    state: Path  # the lab's folder, absolute
    runtime: Path  # where numbers are reserved
    cache: Path  # of roots
    hosts: tuple[HostPlan, ...]
    packages: tuple[str, ...] = ()  # on the hosts, beside those that every lab has
    backends: tuple[Backend, ...] = ()
    containers: bool = False  # whether hosts may run containers of their own

    @property
    def bridge(self) -> str:
        """The bridge that the hosts and this machine share."""
        return f"dsl{self.number}"

    @property
    def gateway(self) -> str:
        """This machine's address on the bridge, which the hosts can reach."""
        return f"10.77.{self.number}.1"

    @property
    def loopback(self) -> str:
        """Where the balancer listens; only this machine can reach it."""
        return f"127.77.{self.number}.1"

    @property
    def run(self) -> Path:
        """The folder for what lives only as long as the lab runs."""
        return self.runtime / str(self.number)

    @property
    def repository(self) -> Path:
        """The folder that is served to the hosts."""
        return self.state / "repository"

    @property
    def repository_url(self) -> str:
        """Where the hosts read it."""
        return f"http://{self.gateway}:{REPOSITORY_PORT}"

    @property
    def socket(self) -> Path:
        """HAProxy's runtime socket; short, for a socket's path may have 107 characters."""
        return self.run / "haproxy.sock"

    @property
    def sockets(self) -> tuple[str, str]:
        """The two ways to that socket, as fleet.toml spells them."""
        return str(self.socket), f"tcp://{self.loopback}:{SOCKET_PORT}"

    @property
    def identity(self) -> Path:
        """The private key that opens the hosts to root."""
        return self.state / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' own keys."""
        return self.state / "ssh" / "known_hosts"

    @property
    def fleet_file(self) -> Path:
        """The fleet.toml of the rehearsal."""
        return self.state / "fleet.toml"

    @property
    def shape(self) -> tuple[object, ...]:
        """What cannot change while the lab is up."""
        return self.hosts, tuple(sorted(set(self.packages))), self.containers

    def host(self, name: str) -> HostPlan:
        """Find a host by its name.

        Raises:
            Misused: the lab has no such host.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise Misused(f'lab {self.name} has no host "{name}"', f"it has {known}")

    def folder(self, host: HostPlan) -> Path:
        """Where a host's own files lie: upper, work, root, console.log."""
        return self.state / "hosts" / host.name


def plan_lab(
    name: str,
    *,
    number: int,
    state: Path,
    runtime: Path = RUNTIME,
    cache: Path = CACHE,
    hosts: int = 3,
    releases: tuple[str, ...] = ("bookworm",),
    packages: tuple[str, ...] = (),
    backends: tuple[Backend, ...] = (),
    containers: bool = False,
) -> LabPlan:
    """Plan a lab.

    Args:
        name: of the lab; lower-case letters, digits, hyphens.
        number: what ``numbers.reserve`` gave.
        state: the lab's folder, absolute.
        runtime: where numbers are reserved.
        cache: where the roots below the hosts are kept.
        hosts: how many.
        releases: codenames; they go round over the hosts.
        packages: what every host has beside what every lab has.
        backends: the applications behind the balancer.
        containers: whether hosts may run containers of their own.

    Raises:
        Misused: one of these cannot be.
    """
    check_name(name)
    if not 1 <= hosts <= _MOST_HOSTS:
        raise Misused(f"a lab has 1 to {_MOST_HOSTS} hosts, not {hosts}")
    for codename in releases:
        release(codename)  # or it is none
    if set(":,\\") & set(f"{state}{cache}"):
        raise Misused(f"{state}, {cache}: an overlay's path may have no colon, comma or backslash")
    _check_backends(backends)
    return LabPlan(
        name=name,
        number=number,
        state=state,
        runtime=runtime,
        cache=cache,
        hosts=tuple(
            HostPlan(
                name=f"h{index + 1}",
                address=f"10.77.{number}.{_FIRST_ADDRESS + index}",
                release=releases[index % len(releases)],
                namespace=f"dsl{number}-{index + 1}",
                veth=f"dsl{number}v{index + 1}",
            )
            for index in range(hosts)
        ),
        packages=packages,
        backends=backends,
        containers=containers,
    )


def check_name(name: str) -> None:
    """Refuse what cannot name a lab.

    Raises:
        Misused: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise Misused(
            f'"{name}" cannot name a lab', "lower-case letters, digits and hyphens, at most 32"
        )


def parse_backend(text: str) -> Backend:
    """Read ``NAME=PORT`` or ``NAME=PORT/health/path``.

    Raises:
        Misused: it is neither.
    """
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)=([0-9]{1,5})(/[!-~]*)?", text)
    if not match or not 0 < int(match[2]) < 65536:
        raise Misused(f'"{text}" is not a backend', "NAME=PORT/healthpath, as in auth=8101/healthz")
    return Backend(match[1], int(match[2]), match[3])


def _check_backends(backends: tuple[Backend, ...]) -> None:
    ports: dict[int, str] = {SOCKET_PORT: "HAProxy's runtime socket"}
    for backend in backends:
        if backend.port in ports:
            raise Misused(
                f"{backend.name} and {ports[backend.port]} both want port {backend.port}",
                "give each application a port of its own",
            )
        ports[backend.port] = backend.name
    if len({backend.name for backend in backends}) < len(backends):
        raise Misused("two backends bear the same name")
