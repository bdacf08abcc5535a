"""A bridge, and a cable from it into each host's network namespace. No NAT: hosts reach us only."""

from pathlib import Path

from debship.lab.plan import HostPlan, LabPlan
from debship.run import Run

_SYS_NET = Path("/sys/class/net")
_NAMESPACES = Path("/run/netns")


def bridge_commands(plan: LabPlan) -> tuple[str, ...]:
    """What makes the bridge, as lines of ``ip -batch``."""
    return (
        f"link add {plan.bridge} type bridge",
        f"addr add {plan.gateway}/24 dev {plan.bridge}",
        f"link set {plan.bridge} up",
    )


def outer_commands(plan: LabPlan, host: HostPlan) -> tuple[str, ...]:
    """What makes a host's namespace and the cable into it."""
    return (
        f"netns add {host.namespace}",
        # The same address after each boot, as real machines have: neighbours remember the last one
        # for most of a minute, and would send nowhere for so long.
        f"link add {host.veth} type veth peer name eth0 address {host.mac} netns {host.namespace}",
        f"link set {host.veth} master {plan.bridge} up",
    )


def inner_commands(plan: LabPlan, host: HostPlan) -> tuple[str, ...]:
    """What a host would do at boot for its own network."""
    return (
        "link set lo up",
        f"addr add {host.address}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {plan.gateway}",
    )


def make_bridge(plan: LabPlan, run: Run) -> None:
    """Make the bridge anew."""
    take_bridge_away(plan, run)
    _batch(run, bridge_commands(plan))


def take_bridge_away(plan: LabPlan, run: Run) -> None:
    """Take the bridge away where it is there."""
    if (_SYS_NET / plan.bridge).exists():
        run(["ip", "link", "del", plan.bridge])


def bridge_is_up(plan: LabPlan, run: Run) -> bool:
    """Whether the bridge is there and has its address, which it gets before the last step."""
    if not (_SYS_NET / plan.bridge).exists():
        return False
    shown = run(["ip", "-4", "addr", "show", "dev", plan.bridge, "up"]).text
    return f"inet {plan.gateway}/24" in shown


def connect(plan: LabPlan, host: HostPlan, run: Run) -> None:
    """Connect a host that does not run: whatever there was of its network is made anew."""
    disconnect(host, run)
    _batch(run, outer_commands(plan, host))
    _batch(run, inner_commands(plan, host), "-n", host.namespace)


def disconnect(host: HostPlan, run: Run) -> None:
    """Take a host's cable and namespace away where they are there."""
    if (_SYS_NET / host.veth).exists():
        run(["ip", "link", "del", host.veth])
    if (_NAMESPACES / host.namespace).exists():
        run(["ip", "netns", "del", host.namespace])


def _batch(run: Run, commands: tuple[str, ...], *options: str) -> None:
    run(["ip", *options, "-batch", "-"], stdin="".join(f"{c}\n" for c in commands).encode())
