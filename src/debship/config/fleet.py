"""Where packages lie and where they go, as fleet.toml gives it: frozen values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Literal

from debship.model import PackageName


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """The apt repository: where publish writes and where hosts read."""

    store: str  # a directory (absolute) or s3://bucket/prefix
    url: str  # what hosts read, without a final slash
    suite: str
    component: str = "main"


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How hosts are reached; None leaves a thing to the user's own ssh configuration."""

    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    connect_timeout: float = 10.0  # seconds
    gate: bool = False  # whether the user may do as root what the gates let through, and no more


@dataclass(frozen=True, slots=True)
class Share:
    """A number of hosts, or a percentage of a fleet."""

    count: int | None = None
    percent: int | None = None

    def of(self, hosts: int) -> int:
        """How many hosts that is, rounded down, and at least one where there is any."""
        if self.count is not None:
            return min(self.count, hosts)
        return min(hosts, max(1, math.floor(hosts * (self.percent or 0) / 100)))

    def __str__(self) -> str:
        """Give it as the file has it."""
        return f"{self.percent}%" if self.count is None else str(self.count)


@dataclass(frozen=True, slots=True)
class Ec2Hosts:
    """Running instances that carry all of these tags."""

    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AsgHosts:
    """The instances of an Auto Scaling group."""

    group: str


Inventory = tuple[str, ...] | Ec2Hosts | AsgHosts


@dataclass(frozen=True, slots=True)
class HaproxySettings:
    """A backend of one or several HAProxy nodes, reached by their runtime sockets."""

    sockets: tuple[str, ...]  # /path/of/socket or tcp://address:port
    backend: str
    kind: Literal["haproxy"] = "haproxy"
    drain: float = 30.0  # seconds that requests in flight are waited for


@dataclass(frozen=True, slots=True)
class TargetGroupSettings:
    """A target group of an Application or Network Load Balancer."""

    arn: str
    port: int | None = None
    kind: Literal["target-group"] = "target-group"


@dataclass(frozen=True, slots=True)
class ClassicElbSettings:
    """A classic Elastic Load Balancer."""

    name: str
    kind: Literal["classic-elb"] = "classic-elb"


BalancerSettings = HaproxySettings | TargetGroupSettings | ClassicElbSettings


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The question that a host must answer, from itself, before it goes back."""

    path: str
    port: int
    version: str | None = None  # the member of the JSON answer that holds the running version
    timeout: float = 30.0  # seconds from the restart to the first good answer
    times: int = 2  # good answers in a row


@dataclass(frozen=True, slots=True)
class ManagedFile:
    """A file that the deploy writes on each host, from a template."""

    path: PurePosixPath
    template: Path  # absolute
    owner: str = "root"
    group: str = "root"
    mode: int = 0o600
    check: tuple[str, ...] = ()  # a command that judges the new file, named by ``NEW_FILE``


NEW_FILE = "{path}"  # stands for the new file in its check

Moment = Literal["before-roll", "before-host", "before-restart", "after-host", "after-roll"]


@dataclass(frozen=True, slots=True)
class HookSettings:
    """A command of the user's, run at a moment of a roll."""

    name: str
    when: Moment
    command: tuple[str, ...]
    on: Literal["host", "here"] = "host"  # the host, or the machine of who rolls
    once: bool = False  # for a version, on the first host that comes to it
    timeout: float = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret comes from; never the secret itself."""

    kind: Literal["env", "file", "command", "ssm", "secretsmanager"]
    value: str | tuple[str, ...]  # a command is a tuple of words


@dataclass(frozen=True, slots=True)
class FleetApp:
    """One application of the fleet and the way it is rolled."""

    name: str
    package: PackageName
    hosts: Inventory
    balancers: tuple[BalancerSettings, ...] = ()
    health: HealthSettings | None = None
    batch: Share = Share(count=1)
    canary: int = 1  # hosts of the first batch
    min_healthy: Share | None = None  # None: all but one batch
    soak: float = 0.0  # seconds that a batch must stay well before the next
    budget: int = 0  # hosts that may fail in the whole run
    undo: bool = True  # whether a roll whose version fails takes back what it changed
    files: tuple[ManagedFile, ...] = ()
    hooks: tuple[HookSettings, ...] = ()
    variables: Mapping[str, str | int | float | bool] = field(
        default_factory=lambda: MappingProxyType({})
    )
    secrets: Mapping[str, SecretSource] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet.toml."""

    path: Path  # of the file, absolute
    repository: RepositorySettings
    ssh: SshSettings = SshSettings()
    apps: Mapping[str, FleetApp] = field(default_factory=lambda: MappingProxyType({}))
