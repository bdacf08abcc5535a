"""Secrets that AWS keeps; with publish/store/s3.py the only import of boto3."""

from debship.errors import Failed


def read_secret(kind: str, name: str) -> str:
    """Read one secret from SSM Parameter Store or Secrets Manager.

    Raises:
        Failed: it cannot be had; the message names it and never holds its value.
    """
    import boto3
    import botocore.exceptions

    try:
        if kind == "ssm":
            answer = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
            return str(answer["Parameter"]["Value"])
        answer = boto3.client("secretsmanager").get_secret_value(SecretId=name)
        return str(answer["SecretString"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, KeyError) as error:
        raise Failed(f"{kind} {name} cannot be read: {error}") from error
