"""What a roll looks like from outside."""

from pathlib import Path

from examples.rehearsal import Rehearsal

from debship.lab.observer import Observer
from debship.lab.traffic import Traffic


class Witness:
    """Watches from outside: every request, and every server as HAProxy sees it."""

    def __init__(self, stage: Rehearsal, folder: Path) -> None:
        self.traffic = Traffic(f"{stage.url}/healthz", log=folder / "traffic", rate=50)
        self.observer = Observer(stage.haproxy, log=folder / "haproxy")

    def __enter__(self) -> "Witness":
        self.traffic.start()
        self.observer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers = self.traffic.stop()
        self.timeline = self.observer.stop()
