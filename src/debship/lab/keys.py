"""The keys of a lab: one that opens its hosts, and one for each host to be known by."""

import shutil

from debship.lab.plan import LabPlan
from debship.run import Run


def make_keys(plan: LabPlan, run: Run) -> None:
    """Make all keys of a lab, once; the folder appears whole or not at all."""
    folder = plan.identity.parent
    if folder.is_dir():
        return
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    known = []
    for name in ("id_ed25519", *(host.name for host in plan.hosts)):
        comment = f"debship lab {plan.name} {name}"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", making / name])
    for host in plan.hosts:
        kind, key = (making / f"{host.name}.pub").read_text().split()[:2]
        known.append(f"{host.address} {kind} {key}\n")
    (making / plan.known_hosts.name).write_text("".join(known))
    making.rename(folder)
