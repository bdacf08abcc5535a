"""A roll over thirty real hosts, a quarter of them at a time."""

import os
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from examples.rehearsal import Rehearsal

from debship.lab.observer import Observer
from debship.lab.traffic import Traffic

pytestmark = pytest.mark.acceptance

HOSTS, BATCH = 30, 7  # a quarter of thirty, rounded down


def batches(hosts: list[dict[str, Any]]) -> list[float]:
    """Seconds that each batch took: its first host out to its last one back."""
    turns = sorted((dict(host["events"])["out"], dict(host["events"])["back"]) for host in hosts)
    parts = [turns[:1], *(turns[at : at + BATCH] for at in range(1, len(turns), BATCH))]
    for before, after in pairwise(parts):
        assert max(back for _, back in before) <= min(out for out, _ in after), "batches overlap"
    return [max(back for _, back in part) - min(out for out, _ in part) for part in parts]


def test_a_roll_over_thirty_hosts_takes_little_more_than_its_batches(tmp_path: Path) -> None:
    stage = Rehearsal(tmp_path, name=f"thirty{os.getpid()}")
    try:
        stage.up("--hosts", str(HOSTS), "--fleet", str(stage.app / "fleet.toml"))
        debs = (*stage.build_split("2.0.0"), *stage.build_split("2.0.1"))
        stage.publish(*dict.fromkeys(debs))
        stage.fab("bootstrap", "--app", "auth")
        stage.fab("deploy", "--app", "auth", "--version", "2.0.0")
        traffic = Traffic(f"{stage.url}/healthz", log=tmp_path / "traffic", rate=20)
        observer = Observer(stage.haproxy, log=tmp_path / "haproxy")
        with traffic, observer:
            report = stage.report("deploy", "--app", "auth", "--version", "2.0.1")
        assert [host["outcome"] for host in report["hosts"]] == ["changed"] * HOSTS
        assert traffic.so_far().failures == ()
        assert observer.so_far().fewest("auth") >= HOSTS - BATCH
        took = batches(report["hosts"])
        whole = took[1:-1]
        print(f"{report['seconds']} s for {len(took)} batches: {took}")
        assert report["seconds"] <= 1.3 * median(whole) * len(took)
        assert max(host["calls"] for host in report["hosts"]) < 25
    finally:
        stage.down()
