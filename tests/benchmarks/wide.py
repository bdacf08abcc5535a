"""A roll over thirty real hosts, a quarter of them at a time: what a batch costs, and the whole."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from examples.rehearsal import Rehearsal

from debship.lab.observer import Observer
from debship.lab.traffic import Traffic

HOSTS = 30
BATCH = 7  # a quarter of them, rounded down; before it goes the canary
RATE = 20  # requests a second


@dataclass(frozen=True)
class Wide:
    """What was measured."""

    seconds: float  # of the roll, as its report says
    batches: tuple[float, ...]  # seconds of each, the canary first, the rest of all last
    failed: int  # requests
    requests: int
    serving: int  # hosts at least, at any moment, as HAProxy says
    calls: int  # remote ones, the most of any host

    @property
    def ratio(self) -> float:
        """The roll's time for each batch, as a multiple of a whole batch's own time."""
        return self.seconds / len(self.batches) / statistics.median(self.batches[1:-1])


def measure_wide(folder: Path) -> Wide:
    """Boot a lab, roll the example from one version to the next, and take the lab down."""
    stage = Rehearsal(folder, name="wide")
    stage.debship("lab", "down", "--name", stage.name, check=False)
    try:
        stage.up("--hosts", str(HOSTS), "--fleet", str(stage.app / "fleet.toml"))
        debs = (*stage.build_split("2.0.0"), *stage.build_split("2.0.1"))
        stage.publish(*dict.fromkeys(debs))
        stage.fab("bootstrap", "--app", "auth")
        stage.report("deploy", "--app", "auth", "--version", "2.0.0")
        traffic = Traffic(f"{stage.url}/healthz", log=folder / "traffic.jsonl", rate=RATE)
        observer = Observer(stage.haproxy, log=folder / "haproxy.jsonl")
        with traffic, observer:
            time.sleep(1)
            report = stage.report("deploy", "--app", "auth", "--version", "2.0.1")
        answers = traffic.so_far()
        return Wide(
            report["seconds"],
            batches(report["hosts"]),
            answers.failed,
            answers.total,
            observer.so_far().fewest("auth"),
            max(host["calls"] for host in report["hosts"]),
        )
    finally:
        stage.down()


def batches(hosts: Sequence[dict[str, Any]]) -> tuple[float, ...]:
    """Seconds that each batch took, its first host out to its last one back; none overlaps another."""
    turns = sorted((dict(host["events"])["out"], dict(host["events"])["back"]) for host in hosts)
    parts = [turns[:1], *(turns[at : at + BATCH] for at in range(1, len(turns), BATCH))]
    for before, after in pairwise(parts):
        if max(back for _, back in before) > min(out for out, _ in after):
            raise SystemExit(f"batches overlap: {json.dumps(turns)}")
    return tuple(
        round(max(back for _, back in part) - min(out for out, _ in part), 2) for part in parts
    )
