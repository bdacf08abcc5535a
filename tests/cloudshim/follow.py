"""Real traffic that follows the shim's table: HAProxy sends where AWS would, and probes as AWS."""

import http.client
import threading
from collections.abc import Mapping, Sequence

from cloudshim.app import CloudApp
from debship.lab.observer import ask


class Probes:
    """The health of real hosts, asked over HTTP again and again; what ``well`` answers from."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.where: dict[str, tuple[str, int]] = {}  # id: address and port
        self.seen: dict[str, bool] = {}

    def well(self, id_: str, port: int) -> bool:
        return self.seen.get(id_, False)

    def look(self) -> None:
        for id_, (address, port) in self.where.items():
            self.seen[id_] = self._answers(address, port)

    def _answers(self, address: str, port: int) -> bool:
        connection = http.client.HTTPConnection(address, port, timeout=1)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Follower:
    """Sets a server of HAProxy to ready where every group sends it requests, and else to drain.

    Args:
        groups: target groups by their ARN, classic balancers by their name.
        servers: HAProxy's name of each instance.
    """

    def __init__(
        self,
        app: CloudApp,
        probes: Probes,
        haproxy: str,
        backend: str,
        groups: Sequence[str],
        servers: Mapping[str, str],
    ) -> None:
        self.app, self.probes, self.haproxy, self.backend = app, probes, haproxy, backend
        self.groups, self.servers = groups, servers
        self.set: dict[str, str] = {}
        self.over = threading.Event()
        self.threads = [
            threading.Thread(target=self._again, args=(self.follow, 0.05), daemon=True),
            threading.Thread(target=self._again, args=(probes.look, 0.2), daemon=True),
        ]

    def __enter__(self) -> "Follower":
        self.probes.look()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        for server in self.servers.values():
            self._set(server, "ready")

    def follow(self) -> None:
        serving = [{id_ for id_, _ in self.app.targets.serving(group)} for group in self.groups]
        for id_, server in self.servers.items():
            state = "ready" if all(id_ in ids for ids in serving) else "drain"
            if self.set.get(server) != state:
                self._set(server, state)
                self.set[server] = state

    def _again(self, action, every: float) -> None:
        while not self.over.wait(every):
            action()

    def _set(self, server: str, state: str) -> None:
        said = ask(self.haproxy, f"set server {self.backend}/{server} state {state}").strip()
        assert not said, said
