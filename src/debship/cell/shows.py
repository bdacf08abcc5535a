"""What of the machine a cell sees, and the mounts that show it."""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from debship.cell.overlay import Overlay
from debship.errors import Refused

# Where to ask, and whom to trust: names, certificates (the folder's links point to the second),
# indexes of packages. Of a file that the environment names as certificates, the folder too.
_MACHINE = (
    *("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"),
    *("/etc/uv", "/etc/pip.conf"),
)
_HOME = (".netrc", ".config/uv", ".config/pip", ".pip")
_CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"),
    *("NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE"),
)

# Folders of a root that nothing may be shown over.
_TAKEN = re.compile(
    r"/|/(bin|boot|dev|etc|lib\w*|proc|run|sbin|sys|tmp|usr|var)(/(bin|sbin|lib\w*))?"
)


@dataclass(frozen=True, slots=True)
class Show:
    """A file or folder of the machine that a cell sees, at the same path.

    Attributes:
        writes: what becomes of what is written there: it cannot be, it goes through to the
            machine, or it is seen in the cell alone and gone with it (folders only).
    """

    path: Path
    writes: Literal["refused", "kept", "dropped"] = "refused"


def mounts(shows: Iterable[Show], layer: Path) -> str:
    """Write the mounts of a cell in the format of fstab(5); what lies in another comes after it."""
    rows = [
        ("proc", "/proc", "proc", "nosuid,nodev,noexec"),
        ("/sys", "/sys", "none", "rbind,ro"),
        # An old systemd-analyze moves the processes of the machine about that it finds here.
        ("tmpfs", "/sys/fs/cgroup", "tmpfs", "ro,mode=755,nosuid,nodev,noexec"),
        ("/dev", "/dev", "none", "rbind"),
        ("tmpfs", "/run", "tmpfs", "mode=755,nosuid,nodev"),
    ]
    for one in sorted(shows, key=lambda one: one.path):
        path = str(one.path)
        if one.writes == "dropped":
            rows.append(("overlay", path, "overlay", layer_of(one, layer).options))
        else:
            rows.append((path, path, "none", "bind" if one.writes == "kept" else "bind,ro"))
    return "".join(f"{' '.join(map(_escaped, row))} 0 0\n" for row in rows)


def layer_of(show: Show, layer: Path) -> Overlay:
    """Give the overlay of what is shown with writes that are dropped."""
    return Overlay(show.path, layer / hashlib.sha256(bytes(show.path)).hexdigest()[:16])


def seen(
    show: Iterable[Show], home: Path, environment: Mapping[str, str] | None
) -> tuple[Show, ...]:
    """Decide what is shown: what was asked for, and of the machine what network and indexes need.

    Args:
        show: what was asked for.
        home: of the user.
        environment: of this process; None: nothing of the user is shown.

    Raises:
        Refused: something would lie over the root's own files.
    """
    asked = tuple(show)
    for one in asked:
        if _TAKEN.fullmatch(str(one.path)):
            raise Refused(
                f"{one.path} cannot be seen in a root of another release: it has its own",
                "move the project to a folder of its own, such as /srv/NAME",
            )
    wanted = [Path(path) for path in _MACHINE]
    if environment is not None:
        wanted += [home / entry for entry in _HOME]
        wanted += [Path(environment[name]) for name in _CERTIFICATES if environment.get(name)]
    own = [path for path in wanted if path.is_absolute() and os.access(path, os.R_OK)]
    shows = {one.path: one for one in (*(Show(path) for path in own), *asked)}
    covered = [one for one in shows.values() if not _lies_in(one, shows.values())]
    return tuple(sorted(covered, key=lambda one: one.path))


def _lies_in(one: Show, others: Iterable[Show]) -> bool:
    return any(
        other.path != one.path
        and one.path.is_relative_to(other.path)
        and one.writes in ("refused", other.writes)
        for other in others
    )


def _escaped(path: str) -> str:
    return re.sub(r"[\s\\#]", lambda match: f"\\{ord(match[0]):03o}", path)
