"""A client of S3: that part of boto3 which finds endpoint and credentials, and asks."""

from io import BytesIO
from typing import Any


def connect() -> Any:
    """Make a client, with endpoint, region and credentials as boto3 finds them.

    boto3 itself would only take time to load, and so would its look at what other services there
    are: some hundred folders.
    """
    from botocore.config import Config
    from botocore.loaders import create_loader
    from botocore.session import get_session

    session = get_session()
    loader = create_loader(session.get_config_variable("data_path"))
    loader.list_available_services = lambda kind: ["s3"]
    session.register_component("data_loader", loader)
    # Stores that only speak like S3 refuse the checksums that boto3 adds by itself.
    config = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "max_attempts": 5},
        max_pool_connections=32,
    )
    client = session.create_client("s3", config=config)
    client.meta.events.register_last("before-call.s3.PutObject", _send_at_once)
    return client


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Send what is small without asking first whether it is wanted: it is one wait less."""
    if isinstance(params["body"], BytesIO):
        params["headers"].pop("Expect", None)
