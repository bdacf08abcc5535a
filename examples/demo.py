"""The main job on real hosts: build two versions, publish, roll under load, roll back."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from examples.rehearsal import HERE, Rehearsal

from debship.cli.output import show_error
from debship.errors import DebshipError
from debship.lab.observer import Observer
from debship.lab.traffic import Traffic


def main() -> int:
    """Run the demonstration; 0 where no request failed."""
    folder = Path(os.environ.get("DEMO_FOLDER", HERE.parent / ".demo"))
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.1f}s  {line}", flush=True)

    show = Rehearsal(folder, name=os.environ.get("DEMO_LAB", "demo"), say=say)
    try:
        return demonstrate(show, say)
    except DebshipError as error:
        show_error(error)
        return error.exit_code
    finally:
        show.down()


def demonstrate(show: Rehearsal, say: Any) -> int:
    """Walk the flow; the lab is taken away by the caller."""
    debs = [show.build("1.0.0"), show.build("1.1.0")]
    show.debship("lab", "down", "--name", show.name)
    show.up("--hosts", "3", "--fleet", str(show.app / "fleet.toml"))
    show.publish(*debs)
    show.fab("bootstrap", "--app", "auth")
    show.fab("deploy", "--app", "auth", "--version", "1.0.0")
    say(f"load on {show.url}/ begins: 100 requests a second")
    traffic = Traffic(f"{show.url}/healthz", log=show.folder / "traffic.jsonl")
    observer = Observer(show.haproxy, log=show.folder / "balancer.jsonl")
    failed = {}
    with traffic, observer:
        time.sleep(1)
        for what, words in (
            ("upgrade", ("deploy", "--app", "auth", "--version", "1.1.0")),
            ("rollback", ("rollback", "--app", "auth")),
        ):
            before = traffic.so_far().failed
            report = show.report(*words)
            time.sleep(1)
            failed[what] = traffic.so_far().failed - before
            print(f"\n{what}: {failed[what]} failed requests in {report['seconds']} s")
            for host in report["hosts"]:
                print(
                    f"  {host['host']:<12} {host['before']} -> {host['after']}"
                    f"   out of the balancer {host['seconds_out']} s"
                )
            print()
    answers = traffic.so_far()
    fewest = observer.so_far().fewest("auth")
    served = ", ".join(f"{version}: {n}" for version, n in sorted(_versions(answers).items()))
    print(f"answers by version: {served}; slowest {answers.slowest:.2f} s; ")
    print(f"at least {fewest} of 3 hosts were in the balancer at every moment")
    for failure in answers.failures[:10]:
        print(f"  failed: {failure}")
    print(f"requests: {answers.total}, failed: {answers.failed}")
    return 1 if answers.failed else 0


def _versions(answers: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_host, version), count in answers.served.items():
        found[str(version)] = found.get(str(version), 0) + count
    return found


if __name__ == "__main__":
    sys.exit(main())
