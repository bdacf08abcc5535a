"""Which package hosts have: what the next one is compared with."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from debship.errors import Failed, Misused, Refused

if TYPE_CHECKING:
    from debship.build.conffiles import Previous
    from debship.cli.repository import Target
    from debship.config.app import App
    from debship.debian.releases import Release
    from debship.model import Architecture
    from debship.publish.listing import Row

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")  # of a suite; what has a slash is a path


def read_what_hosts_have(
    given: str | None,
    store: str | None,
    app: "App",
    releases: Sequence["Release"],
    machine: "Architecture",
) -> "tuple[Previous | None, ...]":
    """Read the package that hosts of each release have.

    Args:
        given: a .deb, or a suite whose newest it is; None compares with nothing.
        store: of the suite; None: DEBSHIP_STORE, or that of the nearest fleet.toml.
        app: whose package it is.
        releases: what is built for; each may have a version of its own in the suite.
        machine: the architecture that is built for.

    Raises:
        Misused: it can be neither, or no store is named.
        Refused: it is not a sound package of this application, or the suite has none.
        Failed: the store cannot be read.
    """
    from debship.build.conffiles import read_previous

    if given is None:
        return (None,) * len(releases)
    if given.endswith(".deb"):
        return (read_previous(Path(given), app),) * len(releases)
    if not _NAME.fullmatch(given):
        raise Misused(
            f'--previous: "{given}" is neither a .deb nor the name of a suite',
            "--previous dist/NAME_VERSION_ARCHITECTURE.deb, or --previous SUITE",
        )
    from debship.cli.repository import target
    from debship.publish.listing import listing

    where = target(store, given, ())
    snapshot, _ = where.read()
    rows = [
        row
        for row in listing(where.store, snapshot.release, [app.name])
        if row.architecture in ("all", machine)
    ]
    if not rows:
        raise Refused(
            f"{given}: it has no {app.name} for {machine} yet",
            "leave --previous out for the first version",
        )
    chosen = [newest(rows, release) for release in releases]
    fetched = {row: _fetched(row, where, app) for row in dict.fromkeys(chosen)}
    return tuple(fetched[row] for row in chosen)


def newest(rows: Sequence["Row"], release: "Release") -> "Row | None":
    """Take the newest version that hosts of a release may have: not one of another release."""
    from debship.debian.releases import others
    from debship.model import DebVersion

    suffixes = tuple(other.suffix for other in others(release))
    mine = [row for row in rows if not row.version.endswith(suffixes)]
    return max(mine, key=lambda row: DebVersion(row.version), default=None)


def _fetched(row: "Row | None", where: "Target", app: "App") -> "Previous | None":
    from debship.build.conffiles import read_previous

    if row is None:
        return None
    found = where.store.read(row.path)
    if found is None or found.sha256 != row.sha256:
        how = "missing" if found is None else "damaged"
        raise Failed(f"{row.path}: it is {how}", f"debship repo verify --suite {where.suite}")
    with tempfile.NamedTemporaryFile(prefix="debship-previous-", suffix=".deb") as file:
        file.write(found.data)
        file.flush()
        return read_previous(Path(file.name), app)
