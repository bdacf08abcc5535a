"""The WSGI application in front of moto's: what it answers itself, and what it hands on."""

import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from cloudshim.faults import Call, Faults
from cloudshim.targets import Rules, Targets, Well

ACCOUNT = "123456789012"
_IAM = {"monitoring": "cloudwatch"}
Answer = tuple[int, str]


class Refusal(Exception):
    """AWS says no."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class CloudApp:
    """moto behind a table of targets that behaves as AWS's."""

    def __init__(self, clock: Callable[[], float], well: Well) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.moto = DomainDispatcherApplication(create_backend_app)
        self.targets = Targets(clock, self.rules, well)
        self.faults = Faults()
        self.region = "eu-west-1"
        self.standby: dict[str, tuple[str, float]] = {}  # instance: the state to come, and when

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = _call(environ, body)
        if call is None:  # moto's own pages
            return self.moto(environ, start)
        self._settle()
        kind = self.faults.meet(call)
        if kind and kind != "lost":
            return _refuse(call, start, _FAULTS[kind])
        own = getattr(self, f"_{_snake(call.action)}", None)
        try:
            inner = own(call.arguments) if own else None
            if kind == "lost":
                if inner is None:
                    list(self.moto(environ, lambda *_: None))
                return _refuse(call, start, _FAULTS["error"])
            if inner is None:
                return self.moto(environ, start)
        except Refusal as refusal:
            return _refuse(call, start, refusal)
        start("200 OK", [("Content-Type", "text/xml")])
        wrapped = f"<{call.action}Response><{call.action}Result>{inner}</{call.action}Result>"
        return [f"{wrapped}</{call.action}Response>".encode()]

    # What moto keeps, read in this process.

    def rules(self, group: str) -> Rules:
        """The settings of a target group, by its ARN, or of a classic balancer, by its name."""
        if not group.startswith("arn:"):
            return self._classic_rules(group)
        kept = self._group(group)
        return Rules(
            interval=float(kept.health_check_interval_seconds),
            healthy=int(kept.healthy_threshold_count),
            unhealthy=int(kept.unhealthy_threshold_count),
            delay=float(kept.attributes["deregistration_delay.timeout_seconds"]),
            checked=bool(kept.health_check_enabled),
            used=bool(kept.load_balancer_arns),
        )

    def _classic_rules(self, name: str) -> Rules:
        from moto.elb.models import elb_backends

        kept = elb_backends[ACCOUNT][self.region].load_balancers.get(name)
        if kept is None:
            raise Refusal(
                "LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'"
            )
        # moto keeps its own default in lower case, and what was given as it was given
        draining = {key.lower(): v for key, v in kept.attributes["connection_draining"].items()}
        given = kept.attributes["connection_draining"].get("Timeout", draining.get("timeout"))
        check = kept.health_check
        return Rules(
            interval=float(check.interval),
            healthy=int(check.healthy_threshold),
            unhealthy=int(check.unhealthy_threshold),
            delay=float(given) if draining["enabled"] else 0.0,
            first_is_enough=False,
        )

    def hurry(self, group: str, interval: int) -> None:
        """Check the health of targets more often than AWS would, for tests on real hosts."""
        from moto.elb.models import elb_backends

        if group.startswith("arn:"):
            self._group(group).health_check_interval_seconds = interval
        else:
            kept = elb_backends[ACCOUNT][self.region].load_balancers[group]
            kept.health_check.interval = interval

    def _group(self, arn: str) -> Any:
        from moto.elbv2.models import elbv2_backends

        kept = elbv2_backends[ACCOUNT][self.region].target_groups.get(arn)
        if kept is None:
            raise Refusal("TargetGroupNotFound", "One or more target groups not found")
        return kept

    def scaling_group(self, name: str) -> Any:
        from moto.autoscaling.models import autoscaling_backends

        return autoscaling_backends[ACCOUNT][self.region].autoscaling_groups[name]

    # Target groups.

    def _register_targets(self, given: dict[str, Any]) -> str:
        group = self._group(given["TargetGroupArn"])
        for target in _targets(given):
            port = int(target.get("Port") or group.port)
            zone = target.get("AvailabilityZone", "")
            self.targets.register(given["TargetGroupArn"], target["Id"], port, zone)
        return ""

    def _deregister_targets(self, given: dict[str, Any]) -> str:
        self._group(given["TargetGroupArn"])
        for target in _targets(given):
            port = int(target["Port"]) if "Port" in target else None
            group = self._group(given["TargetGroupArn"])
            # Without a port the group's own is meant: one at another port stays.
            self.targets.deregister(given["TargetGroupArn"], target["Id"], port or int(group.port))
        return ""

    def _describe_target_health(self, given: dict[str, Any]) -> str:
        arn = given["TargetGroupArn"]
        self._group(arn)
        rows = []
        for (id_, port), target in self.targets.of(arn).items():
            state, reason = self.targets.told(arn, id_, target)
            zone = target.zone and f"<AvailabilityZone>{target.zone}</AvailabilityZone>"
            shift = "zonal_shift_active" if target.zone in self.targets.shifted else "no_override"
            rows.append(
                f"<member><Target><Id>{id_}</Id><Port>{port}</Port>{zone}</Target>"
                f"<TargetHealth><State>{state}</State>"
                f"{reason and f'<Reason>{reason}</Reason>'}</TargetHealth>"
                f"<AdministrativeOverride><State>{shift}</State></AdministrativeOverride></member>"
            )
        return f"<TargetHealthDescriptions>{''.join(rows)}</TargetHealthDescriptions>"

    # Classic balancers.

    def _register_instances_with_load_balancer(self, given: dict[str, Any]) -> str:
        self._classic_rules(given["LoadBalancerName"])
        for id_ in _values(given, "Instances", "InstanceId"):
            self.targets.register(given["LoadBalancerName"], id_, 0)
        return "<Instances/>"

    def _deregister_instances_from_load_balancer(self, given: dict[str, Any]) -> str:
        self._classic_rules(given["LoadBalancerName"])
        for id_ in _values(given, "Instances", "InstanceId"):
            self.targets.deregister(given["LoadBalancerName"], id_, 0)
        return "<Instances/>"

    def _describe_instance_health(self, given: dict[str, Any]) -> str:
        name = given["LoadBalancerName"]
        self._classic_rules(name)
        here = {id_: target for (id_, _), target in self.targets.of(name).items()}
        # The list leaves out those that drain; asked for by its name, one is told.
        asked = _values(given, "Instances", "InstanceId")
        rows = []
        for id_ in asked or [one for one, target in here.items() if target.until is None]:
            state, code, said = _classic_words(here.get(id_))
            rows.append(
                f"<member><InstanceId>{id_}</InstanceId><State>{state}</State>"
                f"<ReasonCode>{code}</ReasonCode><Description>{said}</Description></member>"
            )
        return f"<InstanceStates>{''.join(rows)}</InstanceStates>"

    # Auto Scaling: moto changes the numbers; the targets and the states on the way are ours.

    def _enter_standby(self, given: dict[str, Any]) -> None:
        group = self.scaling_group(given["AutoScalingGroupName"])
        ids = _values(given, "InstanceIds")
        self._must_be(group, ids, "InService")
        if group.desired_capacity - len(ids) < group.min_size:
            raise Refusal("ValidationError", "would go below the group's minimum size")
        for id_ in ids:
            ends = [self.targets.clock()]
            for arn in group.target_group_arns:
                self.targets.deregister(arn, id_, int(self._group(arn).port))
                ends.append(self.targets.clock() + self.rules(arn).delay)
            self.standby[id_] = ("Standby", max(ends))

    def _exit_standby(self, given: dict[str, Any]) -> None:
        group = self.scaling_group(given["AutoScalingGroupName"])
        ids = _values(given, "InstanceIds")
        self._must_be(group, ids, "Standby")
        if "Launch" in group._suspended_processes:
            raise Refusal("ValidationError", "Launch is suspended")
        for id_ in ids:
            for arn in group.target_group_arns:
                self.targets.register(arn, id_, int(self._group(arn).port))
            self.standby[id_] = ("InService", self.targets.clock() + 1.0)

    def _must_be(self, group: Any, ids: list[str], state: str) -> None:
        for one in group.instance_states:
            if one.instance.id in ids and one.lifecycle_state != state:
                said = f"The instance {one.instance.id} is not in {state}"
                raise Refusal("ValidationError", said)

    def _settle(self) -> None:
        """Show the states on the way where moto knows only the last ones."""
        from moto.autoscaling.models import autoscaling_backends

        self.targets.advance()
        for group in autoscaling_backends[ACCOUNT][self.region].autoscaling_groups.values():
            for one in group.instance_states:
                to_come, when = self.standby.get(one.instance.id, ("", 0.0))
                if not to_come:
                    continue
                on_the_way = {"Standby": "EnteringStandby", "InService": "Pending"}[to_come]
                arrived = self.targets.clock() >= when
                one.lifecycle_state = to_come if arrived else on_the_way
                if arrived:
                    del self.standby[one.instance.id]


def _classic_words(target: Any) -> tuple[str, str, str]:
    if target is None:
        said = "Instance is not currently registered with the LoadBalancer."
        return "OutOfService", "Instance", said
    if target.until is not None:
        return "InService", "Instance", "Instance deregistration currently in progress."
    return {
        "initial": ("OutOfService", "ELB", "Instance registration is still in progress."),
        "healthy": ("InService", "N/A", "N/A"),
        "unhealthy": (
            "OutOfService",
            "Instance",
            "Instance has failed at least the UnhealthyThreshold number of health checks "
            "consecutively.",
        ),
    }[target.state]


_FAULTS = {
    "throttle": Refusal("Throttling", "Rate exceeded"),
    "error": Refusal("InternalFailure", "An internal error has occurred", 500),
    "denied": Refusal("AccessDenied", "is not authorized to perform", 403),
}


def _refuse(call: Call, start: Callable[..., Any], why: Refusal) -> list[bytes]:
    status = f"{why.status} Refused"
    if call.service in {"ssm", "secretsmanager"}:
        start(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps({"__type": why.code, "message": why.message}).encode()]
    start(status, [("Content-Type", "text/xml")])
    said = f"<Code>{why.code}</Code><Message>{escape(why.message)}</Message>"
    if call.service == "ec2":
        return [f"<Response><Errors><Error>{said}</Error></Errors></Response>".encode()]
    return [f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error></ErrorResponse>".encode()]


def _call(environ: dict[str, Any], body: bytes) -> Call | None:
    signed = re.search(
        r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/", environ.get("HTTP_AUTHORIZATION", "")
    )
    if signed is None:
        return None
    service = _IAM.get(signed[1], signed[1])
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return Call(service, target.rpartition(".")[2], json.loads(body or b"{}"))
    given = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return Call(service, given.get("Action", ""), given) if "Action" in given else None


def _targets(given: dict[str, Any]) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for key, value in given.items():
        if match := re.fullmatch(r"Targets\.member\.(\d+)\.(\w+)", key):
            found.setdefault(match[1], {})[match[2]] = value
    return list(found.values())


def _values(given: dict[str, Any], member: str, inner: str = "") -> list[str]:
    tail = rf"\.{inner}" if inner else ""
    return [v for k, v in given.items() if re.fullmatch(rf"{member}\.member\.\d+{tail}", k)]


def _snake(action: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower()
