"""The releases that packages are built for, and what each of them can read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from debship.errors import Misused


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Debian or Ubuntu.

    Attributes:
        date: seconds since 1970 of the day it came out; the mtime of files that depend on
            nothing but the release.
        suffix: what ends the version of a package built for it; sorts by release.
        compression: what its dpkg reads; Debian 11 knows no zstd.
    """

    codename: str
    distribution: Literal["debian", "ubuntu"]
    number: str
    python: str  # minor version of /usr/bin/python3
    compression: Literal["zst", "xz"]
    date: int

    @property
    def suffix(self) -> str:
        """``~deb12u1`` or ``~ubuntu24.04.1``: numbers sort, codenames do not (Policy 5.6.12)."""
        if self.distribution == "debian":
            return f"~deb{self.number}u1"
        return f"~ubuntu{self.number}.1"

    @property
    def old_ffi(self) -> bool:
        """Whether its libffi is older than 3.4: callbacks are in memory written and executed."""
        return self.codename in ("bullseye", "focal")

    @property
    def removes_conffiles(self) -> bool:
        """Whether its dpkg knows remove-on-upgrade (deb-conffiles(5), since dpkg 1.20.6)."""
        return self.codename != "focal"


_RELEASES = (
    Release("bullseye", "debian", "11", "3.9", "xz", 1628899200),
    Release("bookworm", "debian", "12", "3.11", "zst", 1686355200),
    Release("trixie", "debian", "13", "3.13", "zst", 1754697600),
    Release("focal", "ubuntu", "20.04", "3.8", "zst", 1587600000),
    Release("jammy", "ubuntu", "22.04", "3.10", "zst", 1650499200),
    Release("noble", "ubuntu", "24.04", "3.12", "zst", 1713999600),
    Release("resolute", "ubuntu", "26.04", "3.14", "zst", 1776902400),
)


def release(codename: str) -> Release:
    """Find a release by its codename.

    Raises:
        Misused: no release that debship knows has this name.
    """
    for candidate in _RELEASES:
        if candidate.codename == codename:
            return candidate
    known = ", ".join(candidate.codename for candidate in _RELEASES)
    raise Misused(f'"{codename}" is not a release that debship knows', f"it knows {known}")


def others(release: Release) -> tuple[Release, ...]:
    """Give all releases but one."""
    return tuple(candidate for candidate in _RELEASES if candidate != release)


def release_of_python(minor: str) -> Release | None:
    """Find the release whose /usr/bin/python3 is of this minor version, such as "3.11"."""
    return next((candidate for candidate in _RELEASES if candidate.python == minor), None)


def this_machine(os_release: str) -> Release:
    """Find the release whose /etc/os-release this is (os-release(5)).

    Raises:
        Misused: the machine runs something that packages are not built for.
    """
    fields = dict(_fields(os_release))
    codename = fields.get("VERSION_CODENAME", "")
    if not codename:
        name = fields.get("PRETTY_NAME", "an unknown system")
        raise Misused(f"this machine runs {name}, not a release of Debian or Ubuntu")
    return release(codename)


def _fields(os_release: str) -> Mapping[str, str]:
    lines = (line.partition("=") for line in os_release.splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in lines}
