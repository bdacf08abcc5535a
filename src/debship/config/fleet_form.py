"""The tables of fleet.toml, as the file spells them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from debship.config.fleet import Share
from debship.config.form import TAG, Form
from debship.config.kinds import (
    AnyPath,
    AnyShare,
    Arn,
    Duration,
    ElbName,
    EtcPath,
    HookName,
    Host,
    Line,
    Mode,
    Natural,
    Package,
    Plain,
    Port,
    Positive,
    Socket,
    SomeShare,
    StorePlace,
    SuiteName,
    Url,
    UrlPath,
    User,
    Variable,
)


class RepositoryTable(Form):
    """The apt repository: where publish writes and where hosts read."""

    store: StorePlace = Field(
        description="where publish writes: a directory, or s3://bucket/prefix"
    )
    url: Url = Field(description="where hosts read, http:// or https://")
    suite: SuiteName = Field(description="the suite that hosts follow")
    component: SuiteName = Field("main", description="the component of that suite")


class SshTable(Form):
    """How hosts are reached; what is left out is as the user's ssh configuration has it."""

    user: User | None = Field(None, description="the user to log in as; one who may sudo, or root")
    port: Port | None = Field(None, description="the port of sshd")
    identity: AnyPath | None = Field(None, description="the private key's file")
    known_hosts: AnyPath | None = Field(None, description="the file of the hosts' keys")
    connect_timeout: Duration = Field(10.0, description="how long a connection may take")
    gate: bool = Field(
        False,
        description="whether the user may do as root only what the hosts' gates let through",
    )


class HostsTable(Form):
    """Hosts that AWS knows: one of the two."""

    ec2: dict[str, str] | None = Field(
        None, description="running instances with all of these filters, such as tag:app"
    )
    asg: Line | None = Field(None, description="the instances of an Auto Scaling group")


class HaproxyTable(Form):
    """A backend of one or several HAProxy nodes."""

    kind: Literal["haproxy"] = Field(description="which kind of load balancer")
    socket: Socket | None = Field(
        None, description="the runtime socket: a path, or tcp://address:port"
    )
    sockets: list[Socket] = Field([], description="the runtime sockets of several nodes")
    backend: Line = Field(description="the backend's name")
    drain: Duration = Field(30.0, description="how long requests in flight are waited for")


class TargetGroupTable(Form):
    """A target group of an Application or Network Load Balancer."""

    kind: Literal["target-group"] = Field(description="which kind of load balancer")
    arn: Arn = Field(description="the target group's ARN")
    port: Port | None = Field(
        None, description="the port that targets are registered with; left out: the group's"
    )


class ClassicElbTable(Form):
    """A classic Elastic Load Balancer."""

    kind: Literal["classic-elb"] = Field(description="which kind of load balancer")
    name: ElbName = Field(description="the load balancer's name")


class NoBalancerTable(Form):
    """No load balancer, said on purpose."""

    kind: Literal["none"] = Field(description="which kind of load balancer")


class OtherBalancerTable(Form):
    """Where no kind fits: says which there are."""

    model_config = ConfigDict(extra="ignore")
    kind: Literal["haproxy", "target-group", "classic-elb", "none"] = Field(
        description='which kind of load balancer: "haproxy", "target-group", "classic-elb", "none"'
    )


class HealthTable(Form):
    """The question that a host must answer, from itself, before it goes back."""

    path: UrlPath = Field(description="the path that answers 200 where the service is well")
    port: Port = Field(description="the port that it listens on")
    version: Line | None = Field(
        None, description="the member of the JSON answer that holds the running version"
    )
    timeout: Duration = Field(
        30.0, description="how long from the restart to the first good answer"
    )
    times: Positive = Field(2, description="good answers in a row")


class FileTable(Form):
    """A file that the deploy writes on each host, from a template."""

    path: EtcPath = Field(description='where it lies; a [[config]] with managed = "deploy"')
    template: AnyPath = Field(description="a Jinja template, relative to this file")
    owner: User = Field("root", description="the file's owner")
    group: User = Field("root", description="the file's group")
    mode: Mode = Field("0600", description="the file's mode, as a string of octal digits")
    check: list[str] = Field(
        [],
        description="a command that judges the new file before it is put in place, as a list of "
        'words; "{path}" stands for it',
    )


class HookTable(Form):
    """A command of yours, run at a moment of a roll."""

    name: HookName = Field(description="what reports and journals call it")
    when: Literal["before-roll", "before-host", "before-restart", "after-host", "after-roll"] = (
        Field(
            description='"before-roll", "before-host" (it still serves), "before-restart" (the '
            'version is installed and configured), "after-host", "after-roll"'
        )
    )
    command: list[str] = Field(description="the command, as a list of words; no shell")
    on: Literal["host", "here"] = Field(
        "host", description='"host", or "here": the machine of who rolls'
    )
    once: bool = Field(
        False, description="once for a version, on the first host: as for migrations"
    )
    timeout: Duration = Field(300.0, description="how long it may take")


class SecretTable(Form):
    """Where a secret comes from: one of these."""

    env: Variable | None = Field(None, description="a variable of who deploys")
    file: AnyPath | None = Field(None, description="a file of who deploys")
    command: list[str] | None = Field(
        None, description="the output of a command, given as a list of words"
    )
    ssm: Line | None = Field(None, description="a parameter of AWS Systems Manager")
    secretsmanager: Line | None = Field(None, description="a secret of AWS Secrets Manager")


def _hosts_tag(value: Any) -> str:
    return f"{TAG}table" if isinstance(value, dict) else f"{TAG}list"


def _balancer_tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else None
    known = ("haproxy", "target-group", "classic-elb", "none")
    return f"{TAG}{kind}" if kind in known else f"{TAG}other"


Hosts = Annotated[
    Annotated[list[Host], Tag(f"{TAG}list")] | Annotated[HostsTable, Tag(f"{TAG}table")],
    Discriminator(_hosts_tag),
]
Balancer = Annotated[
    Annotated[HaproxyTable, Tag(f"{TAG}haproxy")]
    | Annotated[TargetGroupTable, Tag(f"{TAG}target-group")]
    | Annotated[ClassicElbTable, Tag(f"{TAG}classic-elb")]
    | Annotated[NoBalancerTable, Tag(f"{TAG}none")]
    | Annotated[OtherBalancerTable, Tag(f"{TAG}other"), WithJsonSchema({"not": {}})],
    Discriminator(_balancer_tag),
]


class FleetAppTable(Form):
    """One application of the fleet and the way it is rolled."""

    package: Package | None = Field(None, description="the package; left out: the table's name")
    hosts: Hosts = Field(
        description='a list of names or addresses, or { ec2 = { "tag:app" = "auth" } }, '
        'or { asg = "auth" }'
    )
    balancers: list[Balancer] = Field(
        [], description="all load balancers that the hosts stand behind"
    )
    health: HealthTable | None = Field(
        None, description="the question that a host must answer before it goes back"
    )
    batch: SomeShare = Field(
        Share(count=1),
        description="how many hosts at once: a number or a percentage",
        json_schema_extra={"default": 1},
    )
    canary: Positive = Field(1, description="hosts of the first batch")
    min_healthy: AnyShare | None = Field(
        None, description="hosts that must stay healthy at every moment; left out: all but a batch"
    )
    soak: Duration = Field(0.0, description="how long a batch must stay well before the next")
    budget: Natural = Field(0, description="hosts that may fail in the whole run")
    undo: bool = Field(
        True, description="whether a roll whose version fails takes back what it changed"
    )
    files: list[FileTable] = Field([], description="files that the deploy writes on each host")
    hooks: list[HookTable] = Field([], description="commands of yours, at moments of a roll")
    variables: dict[str, Plain] = Field({}, description="values that templates may name")
    secrets: dict[str, SecretTable] = Field(
        {}, description="secrets that templates may name, and where they come from"
    )


class FleetForm(Form):
    """fleet.toml: where packages lie and where they go."""

    repository: RepositoryTable = Field(
        description="the apt repository: where publish writes and where hosts read"
    )
    ssh: SshTable = Field(SshTable.model_construct(), description="how hosts are reached")
    apps: dict[str, FleetAppTable] = Field(
        {}, description="the applications, each in a table of its own"
    )
