"""What a machine must have before it can carry a lab."""

import os
import shutil
from pathlib import Path

from debship.errors import Failed
from debship.lab.group import hierarchies

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "haproxy": "haproxy",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def check_machine() -> None:
    """Refuse a machine that cannot carry a lab.

    Raises:
        Failed: it lacks something; the hint is the one line that installs it.
    """
    if os.geteuid() != 0:
        raise Failed("a lab needs root: it mounts, and makes namespaces", "sudo debship lab up")
    missing = {name: package for name, package in _PROGRAMS.items() if not shutil.which(name)}
    if not _KEYRING.exists():
        missing[str(_KEYRING)] = "debian-archive-keyring"
    if missing:
        raise Failed(
            f"this machine lacks {', '.join(missing)}, which a lab needs",
            f"apt-get install --no-install-recommends {' '.join(sorted(set(missing.values())))}",
        )
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        raise Failed("this machine's kernel has no overlay file system", "modprobe overlay")
    if not hierarchies(Path("/proc/mounts").read_text()):
        raise Failed("this machine has no cgroup2", "mount -t cgroup2 none /sys/fs/cgroup")
