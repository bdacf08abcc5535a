"""What a host is told of a repository: a .sources file, the keys inside (sources.list(5))."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from debship.errors import Misused
from debship.publish.key_file import check_known
from debship.publish.signing import Certificates
from debship.publish.snapshot import Snapshot


def sources(snapshot: Snapshot, keys: Certificates, url: str) -> str:
    """Give the .sources of a suite.

    Args:
        snapshot: of the suite; its signature was verified with these keys.
        keys: those that hosts shall trust.
        url: where hosts read the repository.

    Raises:
        Misused: the URL cannot stand in a .sources.
        Refused: the suite is signed by a key that is not among these.
    """
    settings = snapshot.release.settings
    check_known(settings.suite, snapshot.signers, keys)
    return sources_text(checked_url(url), settings.suite, settings.components, keys.armored)


def sources_text(url: str, suite: str, components: Sequence[str], key: str) -> str:
    """Write a .sources with the armored key inside (apt 2.3.10), an empty line of it as a dot.

    The key comes last: who has an older apt takes it out from there.
    """
    lines = (f" {line or '.'}\n" for line in key.strip().splitlines())
    return (
        f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {' '.join(components)}\n"
        f"Signed-By:\n{''.join(lines)}"
    )


def checked_url(url: str) -> str:
    """Give back a URL that can stand in a .sources, without slashes at its end.

    Raises:
        Misused: it cannot.
    """
    if any(letter.isspace() or not letter.isprintable() for letter in url) or ":" not in url:
        raise Misused(f'"{url}" is not a URL')
    try:
        netloc = urlsplit(url).netloc
    except ValueError as error:
        raise Misused(f"it is not a URL: {error}") from error
    if "@" in netloc:
        raise Misused(
            "the URL holds a user or a password, and everybody reads a .sources",
            "hosts read those from apt_auth.conf(5)",
        )
    return url.rstrip("/") or url
