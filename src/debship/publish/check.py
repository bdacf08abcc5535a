"""Whether a real apt takes what was published: the only judge that counts."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from debship.errors import Failed
from debship.run import Run, Word

_TIMEOUT = 600.0  # seconds


class Wanted(NamedTuple):
    """One package that hosts shall be able to fetch."""

    package: str
    version: str
    architecture: str

    def __str__(self) -> str:
        """Name it as apt does."""
        arch = "" if self.architecture == "all" else f":{self.architecture}"
        return f"{self.package}{arch}={self.version}"


def apt_words(root: Path, architectures: Sequence[str]) -> tuple[Word, ...]:
    """Give the words that make apt live in a folder of its own and touch nothing of this machine.

    The folder holds ``sources/*.sources``; ``prepare`` makes the rest. Architectures beside the
    machine's own are said here: apt reads its files before it reads that they lie elsewhere.
    """
    options = {
        "Dir": root,
        "Dir::State": root / "state",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "Dir::Etc": root / "etc",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": root / "sources",
        "APT::Sandbox::User": "root",  # _apt may not enter our folder
        "APT::Update::Error-Mode": "any",
        "APT::Get::List-Cleanup": "true",
        "Acquire::Languages": "none",
        "Acquire::Retries": "0",
    }
    pairs = [*options.items(), *(("APT::Architectures::", name) for name in architectures)]
    words = (word for name, value in pairs for word in ("-o", f"{name}={value}"))
    # What verifies for apt writes the key to a file in TMPDIR, and leaves it where it is stopped.
    return ("env", f"TMPDIR={root}", "apt-get", "-q", *words)


def prepare(root: Path, sources: str) -> None:
    """Lay out the folder."""
    for name in (
        "state/lists/partial",
        "cache/archives/partial",
        "etc/apt.conf.d",
        "etc/preferences.d",
        "sources",
    ):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    (root / "sources" / "debship.sources").write_text(sources)


def check(sources: str, wanted: Sequence[Wanted], run: Run) -> None:
    """Let apt of this machine read a suite and fetch packages from it, in a folder of its own.

    Args:
        sources: the .sources that hosts get.
        wanted: what must be there.
        run: the door to apt.

    Raises:
        Failed: apt would not; the message has what it says.
    """
    with tempfile.TemporaryDirectory(prefix="debship-apt-") as folder:
        root = Path(folder)
        prepare(root, sources)
        words = apt_words(root, sorted({it.architecture for it in wanted} - {"all"}))
        try:
            run((*words, "update"), timeout=_TIMEOUT)
            if wanted:
                run((*words, "download", *map(str, wanted)), cwd=root, timeout=_TIMEOUT)
        except Failed as error:
            raise Failed(
                f"published, but apt cannot use it: {error.message}",
                "is the URL the one that serves this store?",
            ) from error
        fetched = len(list(root.glob("*.deb")))
        if fetched != len(set(wanted)):
            raise Failed(f"published, but apt fetched {fetched} of {len(set(wanted))} packages")
