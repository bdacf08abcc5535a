"""The door to AWS; with publish/store/s3.py the only import of boto3."""

import random
import threading
from dataclasses import dataclass, field
from typing import Any

from debship.deploy.balancer.door import Declined, Unanswered
from debship.deploy.clock import Clock
from debship.errors import Failed, Misused

PATIENCE = 60.0  # seconds in which one call may be asked again
ATTEMPTS = 4  # of botocore itself, within a few seconds, before our own patience begins

# What AWS says when the same question may be answered a moment later; every service has its own
# word for it, and any answer of 500 or more is one of them.
_TRANSIENT = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "InternalFailure",
        "HealthUnavailable",
        "ScalingActivityInProgress",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_STALE = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})


class AwsRefused(Declined):
    """AWS answered, and refused; ``code`` is its word for why."""

    def __init__(self, message: str, hint: str | None, code: str) -> None:
        super().__init__(message, hint)
        self.code = code


@dataclass
class Api:
    """One service in one region. Every call is bounded in time, and throttling is survived.

    A call is only ever asked again whole, so what it does must bear being done twice: an answer
    may be lost after the effect.
    """

    service: str
    client: Any
    clock: Clock
    spread: random.Random
    patience: float = PATIENCE  # seconds

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call one operation, by its name in boto3.

        Raises:
            AwsRefused: AWS says no, and would say so again.
            Unanswered: no answer in time, or throttled all the time.
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError  # botocore: a plain Exception

        deadline = self.clock.monotonic() + self.patience
        pause = 1.0
        while True:
            try:
                answer: dict[str, Any] = getattr(self.client, operation)(**arguments)
                return answer
            except (ClientError, BotoCoreError, ResponseParserError) as error:
                found = self._judge(operation, error)
            if not isinstance(found, Unanswered) or self.clock.monotonic() >= deadline:
                raise found
            # Full jitter: callers that were throttled together must not come back together.
            self.clock.sleep(pause * self.spread.uniform(0.5, 1.5))
            pause = min(pause * 2, 15.0)

    def pages(self, operation: str, member: str, **arguments: Any) -> list[Any]:
        """Call an operation that answers in pages, and gather one member of every answer."""
        found: list[Any] = []
        more: dict[str, Any] = {}
        while True:
            answer = self.call(operation, **arguments, **more)
            found += answer.get(member, [])
            if answer.get("NextToken"):
                more = {"NextToken": answer["NextToken"]}
            elif answer.get("NextMarker"):
                more = {"Marker": answer["NextMarker"]}
            else:
                return found

    def _judge(self, operation: str, error: Exception) -> Failed:
        action = f"{self.service}:{_camel(operation)}"
        response: dict[str, Any] = getattr(error, "response", None) or {}
        if not response:
            return _unsaid(action, error)
        code = str(response.get("Error", {}).get("Code", ""))
        said = str(response.get("Error", {}).get("Message", "")) or code
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _TRANSIENT or status >= 500:
            return Unanswered(f"{action}: AWS did not answer: {code}: {said}")
        hint = None
        if code in _DENIED:
            hint = f"allow {action}; docs/how-to/aws.md has the whole policy"
        elif code in _STALE:
            hint = "log in to AWS again, then run the same command again"
        return AwsRefused(f"{action}: {said}", hint, code)


def _unsaid(action: str, error: Exception) -> Failed:
    """Judge what went wrong before AWS could say anything."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    lost = (exceptions.HTTPClientError, exceptions.EndpointConnectionError, ResponseParserError)
    if isinstance(error, lost):  # the last: something between us and AWS answered in its place
        return Unanswered(f"{action}: no answer from AWS: {error}")
    hint = "see: aws sts get-caller-identity"
    return AwsRefused(f"{action}: {error}", hint, type(error).__name__)


def _camel(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


@dataclass
class Aws:
    """AWS as the operator's environment, profile and region have it (boto3's own rules)."""

    clock: Clock
    spread: random.Random
    region: str | None = None  # where the environment and the profile name none
    attempts: int = ATTEMPTS
    _session: Any = None
    _apis: dict[tuple[str, str | None], Api] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def api(self, service: str, region: str | None = None) -> Api:
        """Give the door to a service: ``elbv2``, ``elb``, ``ec2``, ``autoscaling``, ``ssm``.

        Raises:
            Misused: nobody says which region.
        """
        with self._lock:
            key = service, region
            if key not in self._apis:
                client = self._client(service, region)
                self._apis[key] = Api(
                    _PREFIX.get(service, service), client, self.clock, self.spread
                )
            return self._apis[key]

    def _client(self, service: str, region: str | None) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            retries={"mode": "standard", "total_max_attempts": self.attempts},
            connect_timeout=5,
            read_timeout=20,
            max_pool_connections=32,
        )
        try:
            self._session = self._session or boto3.Session()
            where = region or self._session.region_name or self.region
            return self._session.client(service, region_name=where, config=config)
        except (BotoCoreError, ValueError) as error:
            raise Misused(
                f"no door to AWS {service}: {error}", "set AWS_REGION and AWS_PROFILE"
            ) from error


# What IAM calls the services, where boto3 calls them otherwise.
_PREFIX = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}


def read_secret(kind: str, name: str, aws: Aws) -> str:
    """Read one secret from SSM Parameter Store or Secrets Manager.

    Args:
        kind: ``ssm`` or ``secretsmanager``.
        name: the parameter's name, or the secret's name or ARN; a whole ARN names its region.

    Raises:
        Failed: it cannot be had; the message names it and never holds its value.
    """
    parts = name.split(":")
    region = parts[3] if name.startswith("arn:") and len(parts) > 5 else None
    api = aws.api(kind, region)
    try:
        if kind == "ssm":
            answer = api.call("get_parameter", Name=name, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
        answer = api.call("get_secret_value", SecretId=name)
    except Failed as error:
        raise Failed(f"{kind} {name} cannot be read: {error.message}", error.hint) from error
    if "SecretString" not in answer:
        raise Failed(f"{kind} {name} cannot be read: it holds bytes, not text")
    return str(answer["SecretString"])
