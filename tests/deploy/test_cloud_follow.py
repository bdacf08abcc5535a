"""What the shim says of targets moves the traffic of a real HAProxy."""

import time
from pathlib import Path

import pytest

from cloudshim.estate import Estate
from cloudshim.follow import Follower, Probes
from cloudshim.server import serving
from debship.lab.observer import ask, parse_stat
from haproxy_rig import HaproxyRig
from until import until

pytestmark = pytest.mark.acceptance


def test_traffic_follows_the_table(tmp_path: Path) -> None:
    rig = HaproxyRig(tmp_path)
    probes = Probes("/healthz")
    try:
        with serving(well=probes.well) as cloud:
            estate = Estate(cloud).build(("10.0.0.11", "10.0.0.12"))
            ids = dict(zip(rig.backends, estate.instances.values(), strict=True))
            probes.where = {ids[n]: ("127.0.0.1", b.port) for n, b in rig.backends.items()}
            arn = estate.target_group(interval=1, delay=1)
            estate.register(arn, *ids.values())
            servers = {id_: name for name, id_ in ids.items()}

            def status() -> dict[str, str]:
                found = parse_stat(ask(rig.sockets[0], "show stat"), time.monotonic())
                return {one.server: one.status for one in found if one.backend == "auth"}

            with Follower(cloud.app, probes, rig.sockets[0], "auth", [arn], servers):
                until(lambda: status() == {"one": "UP", "two": "UP"})
                elbv2 = cloud.client("elbv2")
                target = [{"Id": ids["one"], "Port": 8101}]
                elbv2.deregister_targets(TargetGroupArn=arn, Targets=target)
                until(lambda: status() == {"one": "DRAIN", "two": "UP"})
                time.sleep(1.5)  # the delay is over, and AWS has forgotten it
                elbv2.register_targets(TargetGroupArn=arn, Targets=target)
                assert status()["one"] == "DRAIN", "initial: not before its first success"
                until(lambda: status() == {"one": "UP", "two": "UP"})
                rig.backends["two"].well = False
                until(lambda: status()["two"] in {"DRAIN", "DOWN", "DOWN (agent)"})
            cloud.reset()
    finally:
        rig.stop()
