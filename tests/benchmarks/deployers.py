"""The ways to roll a version that `make bench-deploy` compares, each as its own users have it."""

import json
import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from examples.rehearsal import Rehearsal
from tests.benchmarks.service import COMMAND, Service, run
from tests.docker_engine import engine

REGISTRY = 5000
UNIT = """\
[Unit]
Description=auth
[Service]
Type=notify
WorkingDirectory=/srv/auth/current/src
ExecStart=/srv/auth/current/venv/bin/{command} auth:app
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
DOCKERFILE = """\
FROM bench-deploy-base
COPY requirements.txt .
COPY wheels /wheels
RUN python3 -m venv /venv && /venv/bin/pip install --quiet --no-index --find-links /wheels -r requirements.txt && rm -r /wheels
COPY src /app
WORKDIR /app
CMD {command}
"""


@dataclass
class Done:
    """How one roll ended."""

    code: int
    seconds: float
    said: str
    calls: float | None = None  # remote calls, a host


@dataclass
class Deployer(ABC):
    """One way to deploy the service on a lab's hosts."""

    stage: Rehearsal
    service: Service
    ready: list[str] = field(default_factory=list)  # versions that were made

    @abstractmethod
    def make(self, version: str, *, broken: bool = False) -> None:
        """Package a version and bring it to where hosts get it."""

    @abstractmethod
    def roll(self, version: str, *, count: bool = False) -> Done:
        """Roll it over all hosts; ``count`` is for the first time, and counts remote calls."""

    @abstractmethod
    def leave(self) -> None:
        """Make room for the next."""

    def everywhere(self, line: str) -> None:
        for host in self.stage.hosts:
            self.stage.enter(host, "sh", "-c", line)


class Packaged(Deployer):
    """Who has the service as a .deb."""

    layout = "whole"

    def make(self, version: str, *, broken: bool = False) -> None:
        app = self.service.source(version, layout=self.layout, broken=broken)
        out = self.service.folder / "debs" / version
        shutil.rmtree(out, ignore_errors=True)
        done = self.stage.debship("build", app, "--level", "9", "--output", out)
        self.stage.publish(*(Path(line) for line in done.text.splitlines()))

    def leave(self) -> None:
        self.everywhere(
            "systemctl stop auth; apt-get -q -y purge auth; apt-get -q -y autoremove --purge; "
            "rm -rf /var/lib/debship; apt-get clean"
        )


class Debship(Packaged):
    """debship, the service in one package."""

    hosts: list[dict[str, Any]]  # of the last report

    def roll(self, version: str, *, count: bool = False) -> Done:
        start = time.monotonic()
        words = ("deploy", "--app", "auth", "--version", version, "--json")
        done = self.stage.fab(*words, check=False)
        seconds = time.monotonic() - start
        self.hosts = json.loads(done.stdout)["result"]["hosts"]
        calls = max(host["calls"] for host in self.hosts)
        return Done(done.returncode, seconds, done.text + done.stderr.decode(), calls)


class Split(Debship):
    """debship, the dependencies in a package of their own."""

    layout = "split"


class Ansible(Deployer):
    """A playbook: out of HAProxy, what `tasks` says, in again; one host after the other."""

    ansible: Path
    facts: ClassVar[bool] = True  # are gathered, as they are where a play says nothing of it

    @abstractmethod
    def tasks(self, version: str) -> list[dict[str, Any]]:
        """What is done on a host while it is out."""

    def roll(self, version: str, *, count: bool = False) -> Done:
        folder = self.service.folder / "ansible"
        folder.mkdir(exist_ok=True)
        (folder / "hosts.json").write_text(json.dumps(self._inventory()))
        (folder / "roll.yml").write_text(
            yaml.safe_dump(self._playbook(version, first=count), sort_keys=False)
        )
        env = {
            **os.environ,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s "
            f"-o UserKnownHostsFile={self.stage.lab['ssh']['known_hosts']}",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_NOCOLOR": "1",
        }
        words = [str(self.ansible / "bin/ansible-playbook"), "-i", "hosts.json", "roll.yml"]
        start = time.monotonic()
        done = subprocess.run(
            [*words, *(["-vvvv"] if count else [])],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
        calls = done.stdout.count("SSH: EXEC") / len(self.stage.hosts) if count else None
        return Done(done.returncode, seconds, done.stdout + done.stderr, calls)

    def _inventory(self) -> dict[str, Any]:
        hosts = {
            host["name"]: {
                "ansible_host": host["address"],
                "ansible_user": "root",
                "ansible_ssh_private_key_file": self.stage.lab["ssh"]["identity"],
            }
            for host in self.stage.lab["hosts"]
        }
        return {"all": {"hosts": hosts}}

    def _playbook(self, version: str, *, first: bool) -> list[dict[str, Any]]:
        """The play; the first time HAProxy has nobody to drain, and the module would wait for it."""

        def balancer(state: str, **more: Any) -> dict[str, Any]:
            words = {
                "state": state,
                "host": "{{ inventory_hostname }}",
                "backend": "auth",
                "socket": str(self.stage.haproxy),
                "wait": True,
                **more,
            }
            here = {
                "delegate_to": "localhost",
                "vars": {"ansible_python_interpreter": sys.executable},
            }
            return {"community.general.haproxy": words, **here}

        return [
            {
                "hosts": "all",
                "serial": 1,
                "gather_facts": self.facts,
                "pre_tasks": [] if first else [balancer("disabled", drain=True)],
                "tasks": self.tasks(version),
                "post_tasks": [] if first else [balancer("enabled")],
            }
        ]


class AnsibleApt(Packaged, Ansible):
    """The apt module and a whole virtualenv in the .deb; its postinst restarts the service."""

    def tasks(self, version: str) -> list[dict[str, Any]]:
        words = {"name": f"auth={version}-1", "update_cache": True, "allow_downgrade": True}
        return [{"ansible.builtin.apt": words}]


class AnsiblePip(Ansible):
    """A zip, unpacked; a virtualenv, filled by pip from wheels that lie on the host already."""

    def make(self, version: str, *, broken: bool = False) -> None:
        self.service.archive(version, broken=broken)
        if not self.ready:
            wheels = shutil.make_archive(
                str(self.service.folder / "wheels"), "tar", self.service.wheelhouse()
            )
            for host in self.stage.hosts:
                line = "mkdir -p /srv/wheels /srv/auth && tar -C /srv/wheels -x"
                self.stage.enter(host, "sh", "-c", line, stdin=Path(wheels).read_bytes())

    def tasks(self, version: str) -> list[dict[str, Any]]:
        home = f"/srv/auth/{version}"
        archive = str(self.service.folder / f"auth-{version}.zip")
        pip = {
            "requirements": f"{home}/requirements.txt",
            "virtualenv": f"{home}/venv",
            "virtualenv_command": "python3 -m venv",
            "extra_args": "--no-index --find-links /srv/wheels",
        }
        unit = {"dest": "/etc/systemd/system/auth.service", "content": UNIT.format(command=COMMAND)}
        return [
            {"ansible.builtin.file": {"path": home, "state": "directory"}},
            {"ansible.builtin.unarchive": {"src": archive, "dest": home}},
            {"ansible.builtin.pip": pip},
            {"ansible.builtin.copy": unit},
            {"ansible.builtin.file": {"src": home, "path": "/srv/auth/current", "state": "link"}},
            {
                "ansible.builtin.systemd": {
                    "name": "auth",
                    "state": "restarted",
                    "daemon_reload": True,
                    "enabled": True,
                }
            },
        ]

    def leave(self) -> None:
        self.everywhere(
            "systemctl disable --now auth; rm -rf /etc/systemd/system/auth.service /srv"
        )


class AnsibleDocker(Ansible):
    """docker pull and run, from a registry beside; the layer of requirements is there already."""

    docker: dict[str, str]  # the environment of a daemon that builds

    @property
    def image(self) -> str:
        return f"{self.stage.hosts[0].rpartition('.')[0]}.1:{REGISTRY}/auth"

    def make(self, version: str, *, broken: bool = False) -> None:
        context = self.service.folder / "context"
        shutil.rmtree(context, ignore_errors=True)
        app = self.service.source(version, layout="image", broken=broken)
        shutil.copytree(app / "src", context / "src")
        shutil.copy(self.service.lock, context)
        shutil.copytree(self.service.wheelhouse(), context / "wheels", copy_function=shutil.copy2)
        # As a list: a shell between would not hand the signal to stop on.
        words = json.dumps([f"/venv/bin/{COMMAND.split()[0]}", *COMMAND.split()[1:], "auth:app"])
        (context / "Dockerfile").write_text(DOCKERFILE.format(command=words))
        tag = f"{self.image}:{version}"
        run("docker", "build", "--network", "host", "--tag", tag, context, env=self.docker)
        run("docker", "push", "--quiet", tag, env=self.docker)

    def tasks(self, version: str) -> list[dict[str, Any]]:
        image = f"{self.image}:{version}"
        container = {
            "name": "auth",
            "image": image,
            "network_mode": "host",
            "restart_policy": "unless-stopped",
            "recreate": True,
        }
        return [
            {"community.docker.docker_image": {"name": image, "source": "pull"}},
            {"community.docker.docker_container": container},
        ]

    def leave(self) -> None:
        self.everywhere("docker rm -f auth")


class AnsibleDockerLean(AnsibleDocker):
    """The same by who saves where the play needs no facts."""

    facts = False


@contextmanager
def docker_of(folder: Path, root: Path, gateway: str) -> Iterator[dict[str, str]]:
    """A registry on the lab's bridge, and a daemon that builds and pushes, with the base image."""
    config = {
        "version": "0.1",
        "log": {"formatter": "json", "level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": f"{gateway}:{REGISTRY}"},
    }
    (folder / "registry.yml").write_text(json.dumps(config))
    with (folder / "registry.log").open("wb") as log:
        words = ["docker-registry", "serve", str(folder / "registry.yml")]
        registry = subprocess.Popen(words, stdout=log, stderr=log)
    (folder / "dockerd").mkdir(exist_ok=True)
    options = (f"--insecure-registry={gateway}:{REGISTRY}",)
    try:
        with engine(folder / "dockerd", *options) as address:
            environment = {**os.environ, **address, "DOCKER_BUILDKIT": "0"}
            words = ["tar", "-C", str(root), "--exclude=./var/lib/docker", "--exclude=./proc/*"]
            words += ["--exclude=./sys/*", "--exclude=./dev/*", "--exclude=./run/*", "-c", "."]
            tar = subprocess.Popen(words, stdout=subprocess.PIPE)
            subprocess.run(
                ["docker", "import", "-", "bench-deploy-base"],
                stdin=tar.stdout,
                check=True,
                capture_output=True,
                env=environment,
            )
            yield environment
    finally:
        registry.terminate()
        registry.wait()


def pulled(log: Path, since: int) -> tuple[dict[str, int], int]:
    """Bytes that each client got from the registry after a place in its log; the place now."""
    found: dict[str, int] = {}
    data = log.read_bytes()
    for line in data[since:].splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "http.response.written" in entry and entry.get("http.request.method") == "GET":
            client = entry["http.request.remoteaddr"].rpartition(":")[0]
            found[client] = found.get(client, 0) + int(entry["http.response.written"])
    return found, len(data)
