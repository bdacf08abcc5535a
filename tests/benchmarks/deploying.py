"""`make bench-deploy`: a roll by debship beside its peers, on three real hosts under load.

One lab, one HAProxy, one service (Flask, gunicorn, boto3, SQLAlchemy, cryptography, numpy): each way
brings it from one version to the next, of which only the code differs, while 100 requests a second
come. What is judged is what HAProxy and the clients saw. Then debship alone rolls over thirty hosts.
Prints a table with the ratios that matter, and writes the same as JSON. Needs root; Ansible is
installed from PyPI into the bench's folder, in the version that Debian 12 has and with its defaults:
facts are gathered. The container way is measured once more without them.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w
from examples.rehearsal import Rehearsal
from tests.benchmarks.counted import Counts, counted
from tests.benchmarks.deployers import (
    AnsibleApt,
    AnsibleDocker,
    AnsibleDockerLean,
    AnsiblePip,
    Debship,
    Deployer,
    Split,
    docker_of,
    pulled,
)
from tests.benchmarks.service import Service, run
from tests.benchmarks.wide import BATCH, HOSTS, Wide, measure_wide

from debship.lab.observer import Observer
from debship.lab.traffic import Traffic

TOP = Path(__file__).parents[2]
PORT = 8090  # of the repository that counts
ANSIBLE = "ansible==7.7.0"  # with ansible-core 2.14, as in Debian 12
WAYS = {
    "debship, split": (Split, "1"),
    "debship, whole": (Debship, "2"),
    "Ansible, docker pull and run": (AnsibleDocker, "5"),
    "Ansible, docker, no facts gathered": (AnsibleDockerLean, "6"),
    "Ansible, apt, virtualenv in a .deb": (AnsibleApt, "3"),
    "Ansible, unzip and pip": (AnsiblePip, "4"),
}


@dataclass
class Row:
    """One roll."""

    way: str
    seconds: float
    out: float  # the longest time that a host was out of the balancer, as HAProxy says
    failed: int  # requests
    requests: int
    fetched: int  # bytes, the most of any host, the index not counted
    index: int
    calls: float | None
    code: int
    bound: float | None = None  # drain, unpack, start and first health, together


class Bench:
    """One run of everything."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder, self.runs = folder, runs
        self.service = Service(folder / "service")
        self.stage = Rehearsal(folder / "stage", name="bench")
        self.rows: list[Row] = []
        self.broken: dict[str, dict[str, Any]] = {}
        self.counts = Counts()
        self.wide: Wide | None = None

    @contextlib.contextmanager
    def lab(self, packages: tuple[str, ...], *, containers: bool) -> Iterator[None]:
        """Three hosts, told to fetch from the repository that counts."""
        stage = self.stage
        stage.debship("lab", "down", "--name", stage.name, check=False)
        words = [word for name in packages for word in ("--package", name)]
        words += ["--containers"] if containers else []
        try:
            stage.up("--hosts", "3", "--fleet", str(self.service.fleet), *words)
            gateway = f"{stage.hosts[0].rpartition('.')[0]}.1"
            fleet = tomllib.loads((stage.state / "fleet.toml").read_text())
            fleet["repository"]["url"] = f"http://{gateway}:{PORT}"
            (stage.state / "fleet.toml").write_text(tomli_w.dumps(fleet))
            with counted(Path(stage.store), gateway, PORT) as self.counts:
                yield
        finally:
            stage.down()

    def measure(self, way: str, deployer: Deployer, major: str) -> None:
        """Roll one version after the other; then one that does not start."""
        versions = [f"{major}.0.{patch}" for patch in range(self.runs + 1)]
        self.make(deployer, versions[0])
        if isinstance(deployer, Debship | AnsibleApt):
            self.stage.fab("bootstrap", "--app", "auth")
        first = deployer.roll(versions[0], count=True)
        if first.code:
            raise SystemExit(f"{way}: {first.said[-4000:]}")
        for version in versions[1:]:
            self.make(deployer, version)
            row = self.under_load(way, deployer, version)
            row.calls = row.calls or first.calls
            if isinstance(deployer, Debship):
                row.bound = self.bound(deployer)
            self.rows.append(row)
            show(row)
        deployer.make(f"{major}.9.0", broken=True)
        row = self.under_load(way, deployer, f"{major}.9.0")
        well = sum(self.answers(host) for host in self.stage.hosts)
        self.broken[way] = {"code": row.code, "failed": row.failed, "well": well}
        print(f"{way}, a version that fails to import: {self.broken[way]}", flush=True)
        deployer.leave()

    @staticmethod
    def make(deployer: Deployer, version: str) -> None:
        deployer.make(version)
        deployer.ready.append(version)

    def under_load(self, way: str, deployer: Deployer, version: str) -> Row:
        stage, registry = self.stage, self.folder / "registry.log"
        place = pulled(registry, 0)[1] if registry.exists() else 0
        self.counts.take()
        traffic = Traffic(f"{stage.url}/healthz", log=self.folder / "traffic.jsonl")
        observer = Observer(stage.haproxy, log=self.folder / "haproxy.jsonl")
        traffic.start()
        observer.start()
        time.sleep(1)
        done = deployer.roll(version)
        time.sleep(1)
        seen, answers = observer.stop(), traffic.stop()
        if done.code and not version.endswith(".9.0"):
            raise SystemExit(f"{way}: {done.said[-4000:]}")
        fetched = self.counts.take()
        layers = pulled(registry, place)[0] if registry.exists() else {}
        return Row(
            way,
            done.seconds,
            max(seen.seconds_out().values()),
            answers.failed,
            answers.total,
            max([files for files, _ in fetched.values()] + list(layers.values()), default=0),
            max((index for _, index in fetched.values()), default=0),
            done.calls,
            done.code,
        )

    def bound(self, deployer: Debship) -> float:
        """Drain, dpkg's unpack, the service's start and its first good answer, on one host alone."""
        steps = [dict(host["events"]) for host in deployer.hosts]
        drain = max(step["drained"] - step["out"] for step in steps)
        return drain + self._host_alone()

    def _host_alone(self) -> float:
        """Install the present package by dpkg alone, restart, and ask until it answers."""
        line = (
            "v=$(dpkg-query -W -f='${Version}' auth); set -e; exec 2>/dev/null >&2; "
            "DEBSHIP_ROLL=bench dpkg -i /var/cache/apt/archives/auth_${v}_*.deb; "
            "systemctl restart auth; "
            "until curl -fs http://127.0.0.1:8101/healthz; do sleep 0.02; done"
        )
        took = []
        for _ in range(3):
            start = time.monotonic()
            self.stage.enter(self.stage.hosts[0], "sh", "-c", line)
            took.append(time.monotonic() - start)
        time.sleep(2)  # HAProxy sees it well again
        return statistics.median(took)

    def answers(self, host: str) -> bool:
        words = ("curl", "-fs", "--max-time", "5", "http://127.0.0.1:8101/healthz")
        return self.stage.enter(host, *words, check=False).returncode == 0

    def middle(self, way: str, what: str) -> float | None:
        found = [getattr(row, what) for row in self.rows if row.way == way]
        return statistics.median(found) if found else None


def show(row: Row) -> None:
    calls = "" if row.calls is None else f"{row.calls:6.0f} calls"
    bound = "" if row.bound is None else f"   at most {row.bound + 1:.1f} s"
    print(
        f"{row.way:<36} roll {row.seconds:6.1f} s   out {row.out:5.1f} s{bound}   "
        f"failed {row.failed} of {row.requests}   fetched {row.fetched:>11,} B "
        f"(index {row.index:,})  {calls}",
        flush=True,
    )


def judge(bench: Bench) -> dict[str, Any]:
    """The bars: each with its figure, and whether it holds; None where a peer is not here."""
    split, whole, docker, _, apt, _ = WAYS

    def ratio(what: str, one: str, other: str) -> float | None:
        a, b = bench.middle(one, what), bench.middle(other, what)
        return None if a is None or not b else round(a / b, 2)

    mine = [row for row in bench.rows if row.way in {split, whole}]
    over = max(row.out - (row.bound or 0) for row in mine)
    bars: dict[str, tuple[Any, float]] = {
        "time out, split / docker (below 1)": (ratio("out", split, docker), 0.99),
        "time out, split / apt module (at most 0.5)": (ratio("out", split, apt), 0.5),
        "time out, whole / apt module (at most 0.5)": (ratio("out", whole, apt), 0.5),
        "roll, split / docker (at most 0.7)": (ratio("seconds", split, docker), 0.7),
        "failed requests of debship (0)": (sum(row.failed for row in mine), 0),
        "fetched by a host, split, bytes (below 30,000)": (bench.middle(split, "fetched"), 29_999),
        "out beyond drain + unpack + start + health, s (1.0)": (round(over, 2), 1.0),
    }
    for way in (split, whole):
        told = bench.broken[way]
        bad = told["failed"] + (3 - told["well"]) + (told["code"] == 0)
        bars[f"{way}: a broken version harms (0)"] = (bad, 0)
    if bench.wide:
        bars |= bars_of(bench.wide)
    return {
        name: {"is": value, "holds": None if value is None else value <= most}
        for name, (value, most) in bars.items()
    }


def bars_of(wide: Wide) -> dict[str, tuple[Any, float]]:
    """The bars of the roll over thirty hosts."""
    return {
        "30 hosts: roll a batch / one batch (at most 1.3)": (round(wide.ratio, 2), 1.3),
        "30 hosts: failed requests (0)": (wide.failed, 0),
        "30 hosts: out at once beyond a batch (0)": (max(0, HOSTS - BATCH - wide.serving), 0),
    }


def prepare_docker(bench: Bench) -> None:
    """Let the hosts' daemons use the registry beside, on a disk that overlays."""
    gateway = f"{bench.stage.hosts[0].rpartition('.')[0]}.1"
    words = {"insecure-registries": [f"{gateway}:5000"], "iptables": False, "ip-forward": False}
    daemon = json.dumps(words)
    line = (
        "systemctl stop docker.socket docker; systemctl reset-failed docker.socket docker; "
        "mount -t tmpfs tmpfs /var/lib/docker; mkdir -p /etc/docker; "
        f"echo '{daemon}' > /etc/docker/daemon.json; systemctl start docker"
    )
    for host in bench.stage.hosts:
        done = bench.stage.enter(host, "sh", "-c", line, check=False)
        if done.returncode:
            told = bench.stage.enter(host, "journalctl", "-u", "docker", "-n", "30").text
            raise SystemExit(f"docker does not start on {host}\n{told}")


def chosen(given: argparse.Namespace) -> dict[str, tuple[type[Deployer], str]]:
    """The ways that are asked for, and can be measured on this machine."""
    skipped = {"apt": AnsibleApt, "pip": AnsiblePip, "docker": AnsibleDocker}
    without = [skipped[name] for name in given.without if name in skipped]
    if not (shutil.which("dockerd") and shutil.which("docker-registry")):
        print("docker: this machine has no docker.io or no docker-registry: left out")
        without.append(AnsibleDocker)
    return {
        way: (kind, major)
        for way, (kind, major) in WAYS.items()
        if not issubclass(kind, tuple(without)) and given.only in {None, way}
    }


def compare(bench: Bench, ways: dict[str, tuple[type[Deployer], str]]) -> None:
    """Measure each way, one after the other, on the same three hosts."""
    ansible = bench.folder / "ansible-venv"
    if not (ansible / "bin/ansible-playbook").exists():
        run(sys.executable, "-m", "venv", "--clear", ansible)
        run(ansible / "bin/pip", "install", "--quiet", ANSIBLE)
    docker = any(issubclass(kind, AnsibleDocker) for kind, _ in ways.values())
    packages = (
        "python3-venv",
        "python3-apt",
        "unzip",
        *(("docker.io", "iptables", "python3-docker") * docker),
    )
    builder: dict[str, str] = {}
    with bench.lab(packages, containers=docker), contextlib.ExitStack() as stack:
        for way, (kind, major) in ways.items():
            deployer = kind(bench.stage, bench.service)
            deployer.ansible = ansible
            if isinstance(deployer, AnsibleDocker):
                if not builder:
                    gateway = f"{bench.stage.hosts[0].rpartition('.')[0]}.1"
                    root = bench.stage.state / "hosts/h1/root"
                    builder |= stack.enter_context(docker_of(bench.folder, root, gateway))
                    prepare_docker(bench)
                deployer.docker = builder
            bench.measure(way, deployer, major)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--without", nargs="*", default=[], choices=["docker", "apt", "pip", "wide"]
    )
    parser.add_argument("--only", choices=[*WAYS, "wide"], help="one part alone; no bars")
    parser.add_argument("--folder", type=Path, default=TOP / ".bench" / "deploy")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder, given.runs)
    if ways := chosen(given):
        compare(bench, ways)
    if "wide" not in given.without and given.only in {None, "wide"}:
        bench.wide = measure_wide(given.folder / "wide")
        print(f"{HOSTS} hosts: {asdict(bench.wide)}", flush=True)
    bars = {} if given.only else judge(bench)
    for name, bar in bars.items():
        told = {True: "", False: "<-- not reached", None: "<-- not measured"}[bar["holds"]]
        print(f"{name:<56} {bar['is']}  {told}")
    result = {
        "rows": [asdict(row) for row in bench.rows],
        "broken": bench.broken,
        "wide": asdict(bench.wide) if bench.wide else None,
        "bars": bars,
    }
    (given.folder / "deploying.json").write_text(json.dumps(result, indent=1))
    return 1 if any(bar["holds"] is False for bar in bars.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
