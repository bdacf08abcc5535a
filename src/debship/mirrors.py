"""Where a release of Debian or Ubuntu comes from: what this machine's apt says, or who administers it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822

from debship.debian.releases import Release
from debship.errors import Failed

MIRRORS = Path("/etc/debship/mirrors")

_ONE_LINE = re.compile(r"deb\s+(?:\[[^]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


@dataclass(frozen=True, slots=True)
class AptEntry:
    """One archive that apt reads: where it is, which suite of it, which components."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""  # a keyring's path


def mirror_lines(
    release: Release,
    machine: Release,
    archives: Iterable[AptEntry],
    mirrors: Iterable[AptEntry] = (),
) -> tuple[str, ...]:
    """Say where a release comes from, as lines of sources.list(5).

    Those that were named for it; else the machine's own mirror of its own release, and its
    security archive, with the suites of the wanted release.

    Raises:
        Failed: the machine is of another distribution, or its apt names no mirror.
    """
    keyring = f"/usr/share/keyrings/{release.distribution}-archive-keyring.gpg"
    own = [entry for entry in mirrors if entry.suite.partition("-")[0] == release.codename]
    if own:
        return tuple(
            f"deb [signed-by={entry.signed_by or keyring}] {entry.uri} {entry.suite} "
            + " ".join(entry.components)
            for entry in own
        )
    if release.distribution != machine.distribution:
        raise Failed(
            f"{machine.codename} has no mirror of {release.codename}",
            f"name one in {MIRRORS}/{release.codename}.sources, in the format of sources.list(5): "
            "Types, URIs, Suites, Components, Signed-By",
        )
    known = [entry for entry in archives if "main" in entry.components]
    lines = []
    for ending in ("", "-security"):
        uris = [entry.uri for entry in known if entry.suite == machine.codename + ending]
        if uris:
            suite = release.codename + ending
            lines.append(f"deb [signed-by={keyring}] {uris[0]} {suite} main")
        elif not ending:
            raise Failed(
                f"apt's configuration names no mirror of {machine.codename} main",
                "see sources.list(5); debship reads /etc/apt/sources.list and sources.list.d",
            )
    return tuple(lines)


def entries(apt: Path) -> tuple[AptEntry, ...]:
    """Read what apt reads: sources.list, sources.list.d/*.list and *.sources."""
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    found = [entry for path in one_line if path.is_file() for entry in _of_lines(path.read_text())]
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found.extend(_of_stanzas(path.read_text()))
    return tuple(entry for entry in found if not entry.uri.startswith("cdrom:"))


def named(mirrors: Path) -> tuple[AptEntry, ...]:
    """Read a folder of *.sources."""
    files = sorted(mirrors.glob("*.sources"))
    return tuple(entry for path in files for entry in _of_stanzas(path.read_text()))


def _of_lines(text: str) -> Iterator[AptEntry]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match:
            yield AptEntry(match["uri"], match["suite"], tuple(match["components"].split()))


def _of_stanzas(text: str) -> Iterator[AptEntry]:
    for stanza in Deb822.iter_paragraphs(text):
        enabled = stanza.get("Enabled", "yes").strip().lower() not in ("no", "false", "off", "0")
        if not enabled or "deb" not in stanza.get("Types", "").split():
            continue
        components = tuple(stanza.get("Components", "").split())
        for uri in stanza.get("URIs", "").split():
            for suite in stanza.get("Suites", "").split():
                yield AptEntry(uri, suite, components, stanza.get("Signed-By", "").strip())
