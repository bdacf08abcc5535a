"""A whole rehearsal on this machine, by the commands that a user types: lab, packages, roll."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.versions import make_version

from debship.lab.lab import inside
from debship.run import Completed, Spawned, run, shown, spawn

HERE = Path(__file__).resolve().parent
PROGRAMS = Path(sys.executable).parent
SECRET = "correct horse battery staple"
SUITE = "production"


def quiet(line: str) -> None:
    """Say nothing of the commands."""


@dataclass
class Rehearsal:
    """One lab, one repository, one key: all in one folder, all taken away by ``down``."""

    folder: Path
    name: str = "demo"
    app: Path = HERE / "auth"
    say: Callable[[str], None] = quiet
    lab: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The lab's own folder, where its fleet.toml is."""
        return Path(self.lab["fleet"]).parent

    @property
    def url(self) -> str:
        """The service, as clients of the balancer see it."""
        return next(iter(self.lab["frontends"].values()))

    @property
    def store(self) -> str:
        """Where publish writes."""
        return str(self.lab["repository"]["store"])

    def up(self, *words: str) -> None:
        """Boot the lab, and make the suite and its key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = self.folder / "gnupg"
        shutil.rmtree(keys, ignore_errors=True)  # of a run before; its lab is gone too
        keys.mkdir(mode=0o700)
        done = self.debship("lab", "up", "--name", self.name, "--json", *words)
        self.lab = json.loads(done.stdout)["result"]
        self.lab = self.lab.get("labs", [self.lab])[0]
        made = self.debship(
            "repo", "init", "--generate-key", "--store", self.store, "--suite", SUITE
        )
        found = re.search(r"[0-9A-F]{40}", made.text)
        assert found, made.text
        self.key = found.group()

    def down(self) -> None:
        """Take the lab away, with everything in it."""
        self.debship("lab", "down", "--name", self.name, check=False)
        self._run("gpgconf", "--kill", "all", check=False)

    def build(self, version: str, *, broken: bool = False, sick: bool = False) -> Path:
        """Build the application in this version, well or not."""
        source = self.folder / f"auth-{version}"
        shutil.rmtree(source, ignore_errors=True)  # of a run before, when the example was another
        make_version(self.app, source, version, broken=broken, sick=sick)
        return self._packages(source)[0]

    def build_split(self, version: str, level: str = "9") -> tuple[Path, ...]:
        """Build it as two packages; another level makes other dependencies."""
        source = self.folder / f"auth-{version}"
        shutil.rmtree(source, ignore_errors=True)
        make_version(self.app, source, version)
        toml = source / "debship.toml"
        toml.write_text(toml.read_text().replace('#layout = "split"', 'layout = "split"'))
        return self._packages(source, level)

    def _packages(self, source: Path, level: str = "9") -> tuple[Path, ...]:
        words = ("--level", level, "--output", self.folder / "packages")
        return tuple(map(Path, self.debship("build", source, *words).text.splitlines()))

    def publish(self, *debs: Path) -> None:
        """Publish packages into the suite."""
        self.debship("publish", "--store", self.store, "--suite", SUITE, *debs)

    def debship(self, *words: str | Path, check: bool = True) -> Completed:
        """Run a debship command."""
        return self._run(PROGRAMS / "debship", *words, check=check)

    def fab(self, *words: str, check: bool = True, secret: str = SECRET) -> Completed:
        """Run a Fabric task beside the lab's fleet.toml."""
        return self._run(
            PROGRAMS / "fab", *words, cwd=self.state, check=check, env={"AUTH_SECRET": secret}
        )

    def report(self, *words: str, check: bool = True, secret: str = SECRET) -> dict[str, Any]:
        """Run a Fabric task and read the report that it prints for machines."""
        done = self.fab(*words, "--json", check=check, secret=secret)
        assert done.stdout, done.stderr.decode()
        report: dict[str, Any] = json.loads(done.stdout)["result"]
        return report

    @property
    def haproxy(self) -> Path:
        """The balancer's runtime socket."""
        return Path(self.lab["haproxy"]["sockets"][0])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses of the hosts."""
        return tuple(host["address"] for host in self.lab["hosts"])

    def enter(self, address: str, *words: str, check: bool = True, stdin: bytes = b"") -> Completed:
        """Look at a host from outside, without ssh and without what is under test."""
        pid = next(host["pid"] for host in self.lab["hosts"] if host["address"] == address)
        return run(inside(pid, *words), check=check, stdin=stdin)

    def start_fab(
        self, *words: str, log: Path, secret: str = SECRET, env: Mapping[str, str] | None = None
    ) -> Spawned:
        """Start a Fabric task that can be killed in the middle."""
        return spawn(
            (PROGRAMS / "fab", *words),
            log=log,
            cwd=self.state,
            env={**self.environment, "AUTH_SECRET": secret, **(env or {})},
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """What commands of this rehearsal see: a keyring and journals of its own."""
        key = {"DEBSHIP_SIGNING_KEY": self.key} if hasattr(self, "key") else {}
        return {
            "GNUPGHOME": str(self.folder / "gnupg"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            **key,
        }

    def _run(
        self,
        *words: str | Path,
        check: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        name = Path(words[0]).name
        self.say(f"$ {shown([name, *(_short(word) for word in words[1:])])}")
        return run(words, check=check, cwd=cwd, env={**self.environment, **(env or {})})


def _short(word: str | Path) -> str:
    """A path as a person would type it."""
    text = str(word)
    here = os.path.relpath(text) if text.startswith("/") else text
    return here if len(here) < len(text) else text
