"""fleet.toml, read into a Fleet."""

from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from debship.config.fleet import (
    AsgHosts,
    BalancerSettings,
    ClassicElbSettings,
    Ec2Hosts,
    Fleet,
    FleetApp,
    HaproxySettings,
    HealthSettings,
    HookSettings,
    Inventory,
    ManagedFile,
    RepositorySettings,
    SecretSource,
    SshSettings,
    TargetGroupSettings,
)
from debship.config.mistakes import raise_all
from debship.config.toml import place, read_toml
from debship.model import PackageName

if TYPE_CHECKING:
    from debship.config.fleet_form import (
        FleetAppTable,
        FleetForm,
        HostsTable,
        SecretTable,
        SshTable,
    )
    from debship.config.form import Form

FILE = "fleet.toml"


def find_fleet(start: Path) -> Path | None:
    """Find the nearest fleet.toml: in this folder, or in one above it."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def read_fleet(path: Path) -> Fleet:
    """Read a fleet.toml; relative paths in it are relative to its folder.

    Raises:
        Misused: it is not there, or something is wrong in it; the message names every mistake,
            a line each.
    """
    from debship.config.fleet_checks import fleet_mistakes
    from debship.config.fleet_form import FleetForm
    from debship.config.form import fill

    path = path.resolve()
    table = read_toml(path)
    form, mistakes = fill(FleetForm, table)
    mistakes += fleet_mistakes(table, path.parent)
    raise_all(path, mistakes)
    assert form is not None
    return _fleet(form, path)


def _fleet(form: "FleetForm", path: Path) -> Fleet:
    folder = path.parent
    repository = form.repository
    store = repository.store
    return Fleet(
        path=path,
        repository=RepositorySettings(
            store=store if store.startswith("s3://") else str(place(folder, store)),
            url=repository.url,
            suite=repository.suite,
            component=repository.component,
        ),
        ssh=_ssh(form.ssh, folder),
        apps=MappingProxyType(
            {name: _app(name, table, folder) for name, table in form.apps.items()}
        ),
    )


def _ssh(table: "SshTable", folder: Path) -> SshSettings:
    return SshSettings(
        user=table.user,
        port=table.port,
        identity=place(folder, table.identity) if table.identity else None,
        known_hosts=place(folder, table.known_hosts) if table.known_hosts else None,
        connect_timeout=table.connect_timeout,
        gate=table.gate,
    )


def _app(name: str, table: "FleetAppTable", folder: Path) -> FleetApp:
    balancers = (_balancer(balancer) for balancer in table.balancers)
    return FleetApp(
        name=name,
        package=PackageName(table.package or name),
        hosts=_hosts(table.hosts),
        balancers=tuple(balancer for balancer in balancers if balancer is not None),
        health=HealthSettings(**table.health.model_dump()) if table.health else None,
        batch=table.batch,
        canary=table.canary,
        min_healthy=table.min_healthy,
        soak=table.soak,
        budget=table.budget,
        undo=table.undo,
        files=tuple(
            ManagedFile(
                path=PurePosixPath(file.path),
                template=place(folder, file.template),
                owner=file.owner,
                group=file.group,
                mode=int(file.mode, 8),
                check=tuple(file.check),
            )
            for file in table.files
        ),
        hooks=tuple(
            HookSettings(
                name=hook.name,
                when=hook.when,
                command=tuple(hook.command),
                on=hook.on,
                once=hook.once,
                timeout=hook.timeout,
            )
            for hook in table.hooks
        ),
        variables=MappingProxyType(dict(table.variables)),
        secrets=MappingProxyType(
            {key: _secret(source, folder) for key, source in table.secrets.items()}
        ),
    )


def _hosts(hosts: "list[str] | HostsTable") -> Inventory:
    if isinstance(hosts, list):
        return tuple(hosts)
    if hosts.asg is not None:
        return AsgHosts(hosts.asg)
    return Ec2Hosts(tuple(sorted((hosts.ec2 or {}).items())))


def _balancer(table: "Form") -> BalancerSettings | None:
    from debship.config.fleet_form import ClassicElbTable, HaproxyTable, TargetGroupTable

    if isinstance(table, HaproxyTable):
        sockets = (table.socket,) if table.socket else tuple(table.sockets)
        return HaproxySettings(sockets, table.backend, drain=table.drain)
    if isinstance(table, TargetGroupTable):
        return TargetGroupSettings(table.arn, table.port)
    if isinstance(table, ClassicElbTable):
        return ClassicElbSettings(table.name)
    return None


def _secret(table: "SecretTable", folder: Path) -> SecretSource:
    if table.env is not None:
        return SecretSource("env", table.env)
    if table.file is not None:
        return SecretSource("file", str(place(folder, table.file)))
    if table.command is not None:
        return SecretSource("command", tuple(table.command))
    if table.ssm is not None:
        return SecretSource("ssm", table.ssm)
    assert table.secretsmanager is not None
    return SecretSource("secretsmanager", table.secretsmanager)
