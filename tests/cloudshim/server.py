"""The shim as a server, and a small cloud in it to test against."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from cloudshim.app import ACCOUNT, CloudApp
from cloudshim.targets import Well

REGION = "eu-west-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",  # moto wants some, and no real ones
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


class Cloud:
    """One AWS, at a URL, with the clients of whoever arranges a test."""

    def __init__(self, app: CloudApp, url: str) -> None:
        self.app = app
        self.url = url
        self._clients: dict[str, Any] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes boto3 take this for AWS."""
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=REGION,
                endpoint_url=self.url,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def reset(self) -> None:
        """Forget everything but networks and machines: making those anew takes moto long."""
        from moto.backends import get_backend

        def kept(service: str) -> Any:
            return get_backend(service)[ACCOUNT][REGION]

        for service, tables in {
            "elb": ("load_balancers",),
            "elbv2": ("load_balancers", "target_groups"),
            "autoscaling": ("autoscaling_groups", "launch_configurations"),
        }.items():
            for table in tables:
                getattr(kept(service), table).clear()
        self.app.targets.table.clear()
        self.app.targets.stopped.clear()
        self.app.targets.shifted.clear()
        self.app.standby.clear()
        self.app.faults.waiting.clear()
        self.app.faults.calls.clear()
        self.app.faults.chance = lambda _: ""


@contextmanager
def serving(
    clock: Callable[[], float] = time.monotonic, well: Well = lambda id_, port: True
) -> Iterator[Cloud]:
    """Serve an AWS on loopback, in threads of this process, until the end."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        def log_request(self, *_: Any) -> None:
            pass

    app = CloudApp(clock, well)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Cloud(app, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
