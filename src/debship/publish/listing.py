"""What a suite holds."""

from collections.abc import Sequence
from typing import NamedTuple

from debship.model import DebVersion
from debship.publish.index import place_of
from debship.publish.release import Release
from debship.publish.snapshot import read_indices
from debship.publish.store import Store


class Row(NamedTuple):
    """One published package."""

    package: str
    version: str
    architecture: str
    component: str
    size: int  # bytes
    sha256: str
    path: str


def listing(store: Store, release: Release, packages: Sequence[str] = ()) -> list[Row]:
    """List packages by name, the newest version first.

    Args:
        store: where they lie.
        release: of the suite.
        packages: those that are wanted; empty for all.
    """
    rows: dict[tuple[str, ...], Row] = {}
    for part, index in read_indices(store, release, release.settings.parts).items():
        for name in packages or (None,):
            for key, stanza in index.of(name).items() if name else index.stanzas():
                place = place_of(stanza)
                row = Row(*key, part.component, place.size, place.sha256, place.filename)
                rows[row[:4]] = row
    newest = sorted(rows.values(), key=lambda row: DebVersion(row.version), reverse=True)
    return sorted(newest, key=lambda row: (row.package, row.architecture, row.component))
