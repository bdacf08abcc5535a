"""Makes a bare Debian host able to receive: the source with its key, and a place for records."""

from debship.deploy import apt
from debship.deploy.host import Host
from debship.errors import Failed


def bootstrap(host: Host, sources: str, gate: tuple[str, str] | None = None) -> tuple[str, ...]:
    """Prepare one host; doing it again changes nothing.

    Args:
        sources: the deb822 text with the key inline (sources.list(5)).
        gate: the path of the application's gate, and its program; None where there is none.

    Returns:
        What was changed, a line each.

    Raises:
        Failed: the host cannot carry debship's packages, or cannot read the repository.
    """
    able = host.run(("sh", "-c", "test -d /run/systemd/system && command -v apt-get dpkg-query"))
    if able.returncode != 0:
        raise Failed(
            f"{host.address}: it is no host that a package can serve on: "
            "apt-get, dpkg-query or a systemd that runs is missing"
        )
    changed = []
    there = host.run(("cat", "--", apt.SOURCE))
    if there.stdout != sources.encode():
        host.put(apt.SOURCE, sources.encode(), owner="root", group="root", mode=0o644)
        changed.append(f"wrote {apt.SOURCE}")
    if gate is not None:
        path, program = gate
        if host.run(("cat", "--", path)).stdout != program.encode():
            host.put(path, program.encode(), owner="root", group="root", mode=0o755)
            changed.append(f"wrote {path}")
    answer = host.run(apt.update(), timeout=120)
    if answer.returncode != 0:
        raise Failed(
            f"{host.address}: the repository could not be read\n{answer.complaint}",
            "compare repository.url in fleet.toml with what the host can reach",
        )
    return tuple(changed)
