"""One host: systemd-nspawn(1), booted, on an overlay over a root that many hosts share."""

import os
import shutil
import socket
import time
from pathlib import Path

from debship.errors import Failed
from debship.lab.group import Group, Process, process
from debship.lab.mounts import below, mount_overlay
from debship.lab.network import connect, disconnect
from debship.lab.plan import HostPlan, LabPlan
from debship.run import Run, Spawned, Word, spawn

# What a host has without asking any mirror, for it can reach none.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps"),
    *("ca-certificates", "curl", "netbase", "tzdata"),
    *("python3", "libstdc++6", "libgcc-s1", "libpq5"),
)
_ENGINE = "add_key keyctl bpf"
_BOOT_TIME = 60.0  # seconds; three hosts take 2

_SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
"""
_NSPAWN = Path("/run/systemd/nspawn")


def files(plan: LabPlan, host: HostPlan, machine_id: str) -> dict[str, tuple[int, str]]:
    """What a host has of its own before its first boot: path, mode, text.

    Args:
        plan: of the lab.
        host: one of its hosts.
        machine_id: machine-id(5); an empty one would make systemd forget its journal at each boot.
    """
    keys = plan.identity.parent
    names = "".join(f"{other.address} {other.name}\n" for other in plan.hosts)
    return {
        "etc/machine-id": (0o444, f"{machine_id}\n"),
        "etc/hostname": (0o644, f"{host.name}\n"),
        "etc/hosts": (0o644, f"127.0.0.1 localhost\n{names}"),
        # Nothing answers names here: glibc asks 127.0.0.1, and is refused at once.
        "etc/resolv.conf": (0o644, ""),
        "etc/apt/sources.list": (0o644, ""),
        "etc/ssh/sshd_config.d/10-debship-lab.conf": (0o644, _SSHD),
        "etc/ssh/ssh_host_ed25519_key": (0o600, (keys / host.name).read_text()),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, (keys / f"{host.name}.pub").read_text()),
        "root/.ssh/authorized_keys": (0o600, plan.identity.with_suffix(".pub").read_text()),
    }


def prepare(plan: LabPlan, host: HostPlan, machine_id: str) -> None:
    """Make a host's folder, once; it appears whole or not at all."""
    folder = plan.folder(host)
    if folder.is_dir():
        return
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    for part in ("work", "root", "upper"):
        (making / part).mkdir(parents=True)
    upper = making / "upper"
    for name, (mode, text) in files(plan, host, machine_id).items():
        path = upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    # A folder of the upper layer hides the mode of the one below it.
    for path in (upper, *upper.rglob("*")):
        if path.is_dir():
            path.chmod(0o700 if path.relative_to(upper).parts[:1] == ("root",) else 0o755)
    _mask(upper, "apt-daily.timer", "apt-daily-upgrade.timer")
    making.rename(folder)


def boot_command(plan: LabPlan, host: HostPlan) -> tuple[Word, ...]:
    """What boots a host.

    ``--register=no --keep-unit`` is what works where the machine's own first process is not
    systemd.
    """
    return (
        *("systemd-nspawn", "--quiet", "--boot", "--directory", plan.folder(host) / "root"),
        *(f"--machine={host.namespace}", f"--hostname={host.name}"),
        *("--register=no", "--keep-unit", "--console=pipe"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
        f"--network-namespace-path=/run/netns/{host.namespace}",
        # A container engine mounts, makes devices, keeps keys, and loads filters (systemd-nspawn(1)).
        *(("--capability=all", f"--system-call-filter={_ENGINE}") if plan.containers else ()),
    )


def start(plan: LabPlan, host: HostPlan, root: Path, run: Run) -> Spawned:
    """Switch a host on; ``booted`` waits for it. Whatever there was of it, running, is ended."""
    stop(plan, host, run)
    folder = plan.folder(host)
    mount_overlay(lower=root, folder=folder, run=run)
    connect(plan, host, run)
    group = group_of(plan, host)
    group.make()
    return spawn(
        group.around(boot_command(plan, host)),
        log=folder / "console.log",
        # The machine may have the hybrid layout of control groups; the host gets the pure one.
        env={"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
    )


def stop(plan: LabPlan, host: HostPlan, run: Run) -> None:
    """Pull a host's plug; what it wrote stays, and stays mounted."""
    root = plan.folder(host) / "root"
    group_of(plan, host).end()
    disconnect(host, run)
    if root in below(root):
        # What systemd-nspawn would have taken away itself, had it not been killed.
        inode = root.stat()
        (_NSPAWN / "locks" / f"inode-{inode.st_dev}:{inode.st_ino}").unlink(missing_ok=True)
    shutil.rmtree(_NSPAWN / "propagate" / host.namespace, ignore_errors=True)


def group_of(plan: LabPlan, host: HostPlan) -> Group:
    """The control group that holds a host."""
    return Group.of(f"{plan.bridge}/{host.name}")


def booted(plan: LabPlan, host: HostPlan, nspawn: Spawned) -> Process:
    """Wait until a host's sshd answers; give its systemd.

    Raises:
        Failed: it ended, or did not answer in time; the message shows the end of its console.
    """
    deadline = time.monotonic() + _BOOT_TIME
    while time.monotonic() < deadline and nspawn.process.poll() is None:
        inside = _first_process(nspawn.pid)
        if inside and _sshd_answers(host.address):
            return inside
        time.sleep(0.02)
    console = (plan.folder(host) / "console.log").read_bytes().decode(errors="replace")
    tail = "\n".join(f"  {line}" for line in console.splitlines()[-15:])
    raise Failed(f"host {host.name} of lab {plan.name} did not boot\n{tail}")


def _first_process(nspawn: int) -> Process | None:
    """Find the process that is number 1 inside."""
    try:
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    except OSError:
        return None
    for pid in children:
        known = process(int(pid))
        if known and Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
            return known
    return None


def _sshd_answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _mask(upper: Path, *units: str) -> None:
    folder = upper / "etc/systemd/system"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o755)
    for unit in units:
        os.symlink("/dev/null", folder / unit)  # noqa: PTH211
