"""The load balancer of a lab: HAProxy, with its runtime socket open to this machine."""

import socket
import time

from debship.errors import Failed
from debship.lab.group import Group
from debship.lab.plan import SOCKET_PORT, Backend, LabPlan
from debship.run import Run, Spawned, spawn

_HEAD = """\
global
    log stdout format raw local0 notice
    maxconn 4000
    hard-stop-after 5s
    stats socket {socket} mode 600 level admin
    stats socket ipv4@{loopback}:{port} level admin

defaults
    log global
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    # A roll must not need the balancer's kindness: what fails, fails where it can be seen.
    retries 0
    default-server inter 1s fall 3 rise 2
"""


def haproxy_config(plan: LabPlan) -> str:
    """Render HAProxy's configuration: a frontend and a backend an application."""
    head = _HEAD.format(socket=plan.socket, loopback=plan.loopback, port=SOCKET_PORT)
    return head + "".join(_sections(plan, backend) for backend in plan.backends)


def _sections(plan: LabPlan, backend: Backend) -> str:
    lines = [
        "",
        f"frontend {backend.name}",
        f"    bind {plan.loopback}:{backend.port}",
        f"    default_backend {backend.name}",
        "",
        f"backend {backend.name}",
        *([f"    option httpchk GET {backend.health}"] if backend.health else []),
        "    http-response set-header x-served-by %s",
        *(f"    server {host.name} {host.address}:{backend.port} check" for host in plan.hosts),
    ]
    return "\n".join(lines) + "\n"


def group_of(plan: LabPlan) -> Group:
    """The control group that holds HAProxy."""
    return Group.of(f"{plan.bridge}/balancer")


def start(plan: LabPlan, run: Run) -> Spawned:
    """Start HAProxy anew with the plan's configuration, and wait until its socket answers.

    Raises:
        Failed: it refuses the configuration, or does not answer.
    """
    group = group_of(plan)
    group.end()
    plan.socket.unlink(missing_ok=True)
    config = plan.state / "haproxy.cfg"
    config.write_text(haproxy_config(plan))
    run(["haproxy", "-c", "-q", "-f", config])
    group.make()
    log = plan.state / "haproxy.log"
    # -W: a master that reloads on SIGUSR2, as the one of Debian's unit does.
    started = spawn(group.around(["haproxy", "-W", "-db", "-f", config]), log=log)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and started.process.poll() is None:
        if _answers(plan):
            return started
        time.sleep(0.02)
    tail = log.read_text(errors="replace")[-1000:]
    raise Failed(f"HAProxy of lab {plan.name} did not start\n{tail}")


def _answers(plan: LabPlan) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(plan.socket))
            connection.sendall(b"show info\n")
            return connection.recv(4) == b"Name"
    except OSError:
        return False
