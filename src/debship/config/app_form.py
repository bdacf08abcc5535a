"""The tables of debship.toml, as the file spells them."""

from typing import Literal

from pydantic import Field

from debship.config.app import Layout, ServiceKind
from debship.config.form import Form
from debship.config.kinds import (
    Address,
    AnyPath,
    Codename,
    Command,
    Directive,
    EtcPath,
    Exec,
    FilePath,
    InnerPath,
    Instances,
    Line,
    Maintainer,
    Package,
    Port,
    Relation,
    Script,
    Section,
    Setting,
    Soname,
    Summary,
    Unit,
    Url,
    UrlPath,
    User,
    Version,
)


class AppTable(Form):
    """Who the application is."""

    name: Package = Field(description="the package's name; left out: the project's")
    summary: Summary = Field(
        description="what it is, on one line; left out: the project's description"
    )
    maintainer: Maintainer = Field(
        description='who answers for the package, as "Name <address>"; left out: '
        "the project's first maintainer or author who has an address"
    )
    version: Version = Field(
        "wheel",
        description='"wheel" is the wheel\'s own, translated to Debian\'s order; "git" is from '
        "the nearest tag of its own (v1.2, 1.2, NAME-1.2, NAME/v1.2); anything else is a Debian version itself",
    )
    description: str = Field("", description="the long description, in paragraphs")
    homepage: Url | None = Field(None, description="left out: the project's Homepage")
    section: Section = Field("net", description="the section of the archive (Policy 2.4)")
    layout: Layout = Field(
        "whole",
        description='"whole" is one package; "split" puts the dependencies into a package of '
        "their own, named by content, so that a change of code moves kilobytes",
    )
    changelog: InnerPath | None = Field(
        None,
        description="the changelog, as Debian writes one or in any other form; left out: the "
        "tags of git",
    )


class BuildTable(Form):
    """What it needs to be built, and the command that builds it."""

    needs: list[Package] = Field(
        [],
        description="Debian packages, for the build: compilers, headers, tools that the command "
        "calls; a clean root has them, the machine itself must",
    )
    command: Command | None = Field(None, description="left out: debship builds the wheel")
    wheel: InnerPath | None = Field(
        None, description="where the command leaves the wheel (a glob); left out: what was built"
    )
    test: Command | None = Field(None, description="runs before anything is packaged")
    lock: AnyPath | None = Field(
        None,
        description="every dependency with its hash; left out: the first of uv.lock, "
        "pylock.toml, requirements.txt",
    )
    backends: AnyPath | None = Field(
        None,
        description="a requirements.txt with the hashes of what builds wheels (setuptools, "
        "hatchling); left out: build-requirements.txt if it is there, else the lock",
    )
    releases: list[Codename] = Field(
        [],
        description="releases to build for, by codename, each in a clean root; the version gets "
        "a suffix such as ~deb13u1; left out: this machine's, without a root",
    )
    extras: list[Line] = Field([], description="extras of the project to install")
    groups: list[Line] = Field([], description="dependency groups to install")
    requirement: Line | None = Field(
        None,
        description="an application taken from the lock itself instead of a project, "
        'such as "radicale==3.5.4"',
    )
    templates: InnerPath | None = Field(
        None,
        description="a folder whose package/postinst, package/service and so on go before "
        "debship's own templates of these names",
    )
    ignore_libraries: list[Soname] = Field(
        [],
        description="shared libraries that come to the hosts by another way than a Debian "
        'package, such as "libcuda.so.1"; a wheel may need them, and nothing depends on them',
    )


class RunTable(Form):
    """What it needs to run."""

    depends: list[Relation] = Field(
        [],
        description="Debian relations beyond those that debship finds (the Python version, "
        "the shared libraries of compiled wheels)",
    )
    user: User | None = Field(
        None, description='the system user; left out: "_" and the application\'s name'
    )
    commands: list[Script] = Field(
        [], description="scripts of the virtualenv that users type: links in /usr/bin"
    )


class ConfigTable(Form):
    """Which configuration file, and where."""

    path: EtcPath = Field(description="where it lies on the host, below /etc")
    source: InnerPath | None = Field(
        None, description="the file to ship as a conffile: an administrator's edits survive"
    )
    managed: Literal["deploy"] | None = Field(
        None, description="never in the package: written by the deploy, may hold secrets"
    )
    moved_from: EtcPath | None = Field(
        None,
        description="where versions before shipped it: an administrator's edits move along",
    )


class FileTable(Form):
    """A further file of the package."""

    path: FilePath = Field(description="where it lies on the host, below /usr or /var/lib")
    source: InnerPath = Field(description="the file to ship")
    mode: Literal["0644", "0755"] = Field("0644", description='"0755" is for programs')


class ScriptsTable(Form):
    """What is added to the maintainer scripts: files of sh, run with the script's arguments."""

    preinst: InnerPath | None = Field(
        None, description="runs after debship's own part, before anything is unpacked"
    )
    postinst: InnerPath | None = Field(
        None, description="runs once the user is there, before services are enabled and started"
    )
    prerm: InnerPath | None = Field(None, description="runs once the services have stopped")
    postrm: InnerPath | None = Field(
        None, description="runs before debship's own part, with essential packages alone"
    )


class ServiceTable(Form):
    """The command that starts and stops it."""

    name: Unit | None = Field(None, description="the unit's name; left out: the application's")
    exec: Exec = Field(description="the command; its first word is a script of the virtualenv")
    kind: ServiceKind = Field(
        "web", description="decides the unit's Type=, its hardening and its restarts"
    )
    port: Port | None = Field(None, description="the TCP port that it listens on")
    health: UrlPath | None = Field(
        None, description="the path that answers 200 where the service is well"
    )
    schedule: Line | None = Field(
        None, description="when a timer runs: OnCalendar= of systemd.time(7)"
    )
    env_files: list[EtcPath] = Field(
        [],
        description="files of [[config]] that hold NAME=value lines for its environment; "
        "the service starts without them too",
    )
    instances: Instances | None = Field(
        None, description="how many of a worker run, as NAME@1 to NAME@N; left out: one, NAME"
    )
    socket: bool = Field(
        False,
        description="systemd holds the port of a web service and hands it to the command "
        "(LISTEN_FDS): a restart makes clients wait, and fails none",
    )
    address: Address | None = Field(
        None, description="the address that the socket listens at; left out: every one"
    )
    relax: dict[Directive, Line] = Field(
        {}, description="directives of the sandbox that are to be left out, each with the reason"
    )
    unit: dict[Directive, Setting] = Field(
        {}, description="further directives of [Service] (systemd.exec(5), systemd.service(5))"
    )


class AppForm(Form):
    """debship.toml: the five answers about an application."""

    app: AppTable = Field(description="who the application is")
    build: BuildTable = Field(
        BuildTable.model_construct(),
        description="what it needs to be built, and the command that builds it",
    )
    run: RunTable = Field(RunTable.model_construct(), description="what it needs to run")
    config: list[ConfigTable] = Field([], description="which configuration file, and where")
    file: list[FileTable] = Field([], description="further files of the package")
    scripts: ScriptsTable = Field(
        ScriptsTable.model_construct(),
        description="what is added to the maintainer scripts: files of sh, run with the "
        "script's arguments",
    )
    service: list[ServiceTable] = Field([], description="the command that starts and stops it")
