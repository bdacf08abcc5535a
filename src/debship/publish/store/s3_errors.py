"""What goes wrong at S3, told with the place and the way out.

botocore's errors are known here by their names: whoever tells one has loaded them.
"""

from typing import Any

from debship.errors import Failed, Misused
from debship.publish.store.client import SILENCE
from debship.run import without_passwords

_RIGHTS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "DeleteObject": "s3:DeleteObject",
}
_ALL_RIGHTS = (
    "debship needs s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, and of the "
    "bucket s3:ListBucket and s3:ListBucketMultipartUploads; without s3:ListBucket, S3 answers 403 "
    "for what is not there"
)
_ENDPOINT = "AWS_ENDPOINT_URL, or endpoint_url of the profile, is http://host:port or https://host"
_NOT_S3 = "what stands there is not S3, or a proxy answers in its place: look at AWS_ENDPOINT_URL"
_REACH = "look at AWS_ENDPOINT_URL, at AWS_DEFAULT_REGION, and at the network and its proxy"
_NETWORK = "look at the network, and at proxies on the way to the store; then run it again"
_LOGIN = (
    "give AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where there is a role"
)
_EXPIRED = "get new ones: `aws sso login`, or the session token that is in the environment"
_REFUSED = "look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or AWS_PROFILE"
_CLOCK = "set this machine's clock: `timedatectl` says whether it is kept in time"
_LATER = "run it again later"

_REGION_CODES = {
    "301",
    "307",
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_DENIED_CODES = {"401", "403", "AccessDenied", "AllAccessDisabled", "AccountProblem"}
_HINTS = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidAccessKeyId": _REFUSED,
    "InvalidClientTokenId": _REFUSED,
    "InvalidToken": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "404": _NOT_S3,
    "405": _NOT_S3,
    "409": "something else changes it at this moment; run it again",
    "OperationAborted": "something else changes it at this moment; run it again",
    "SlowDown": _LATER,
    "ServiceUnavailable": _LATER,
    "InternalError": _LATER,
    "500": _LATER,
    "502": _LATER,
    "503": _LATER,
    "504": _LATER,
    # what was never answered, by the class of the error or the nearest that it is one of
    "NoCredentialsError": _LOGIN,
    "PartialCredentialsError": _LOGIN,
    "CredentialRetrievalError": _LOGIN,
    "ProfileNotFound": "AWS_PROFILE names a profile of ~/.aws/config",
    "NoAuthTokenError": _EXPIRED,
    "TokenRetrievalError": _EXPIRED,
    "SSOError": _EXPIRED,
    "LoginError": _EXPIRED,
    "NoRegionError": "set AWS_DEFAULT_REGION",
    "InvalidRegionError": "look at AWS_DEFAULT_REGION",
    "EndpointProviderError": _ENDPOINT,
    "ResponseParserError": _NOT_S3,
    "ConnectionError": _REACH,
    "HTTPClientError": _REACH,
}
_BROKEN = {"IncompleteReadError", "ResponseStreamingError"}


def answered(error: Any, where: str) -> Failed:
    """Tell of a request that S3 refused.

    Args:
        error: botocore's ClientError.
        where: ``s3://bucket/key``.
    """
    said, action = error.response.get("Error", {}), error.operation_name
    about = error.response.get("ResponseMetadata", {})
    code = str(said.get("Code") or about.get("HTTPStatusCode"))
    bucket = where.removeprefix("s3://").partition("/")[0]
    if code == "NoSuchBucket":
        return Failed(
            f"s3://{bucket}: there is no such bucket (NoSuchBucket)",
            "create it, or look at its name, at AWS_DEFAULT_REGION and at AWS_ENDPOINT_URL",
        )
    hint = _HINTS.get(code)
    if code in _DENIED_CODES:
        hint = f"allow {_RIGHTS[action]}; {_ALL_RIGHTS}" if action in _RIGHTS else _REFUSED
    if code in _REGION_CODES:
        region = said.get("Region") or about.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        hint = f"the bucket is in another region: AWS_DEFAULT_REGION={region or 'REGION'}"
    text = f"{where}: {action}: {code}: {said.get('Message') or 'it says no more'}"
    return Failed(without_passwords(text), hint)


def unanswered(error: Exception, where: str) -> Failed:
    """Tell of a request that did not reach S3, or whose answer did not come back.

    Args:
        error: botocore's own, or the system's.
        where: ``s3://bucket/key``.
    """
    if isinstance(error, OSError) and error.filename:  # of a file that was to be sent
        return Failed(f"{error.filename}: {error.strerror}")
    named = (_HINTS.get(kind.__name__) for kind in type(error).__mro__)
    hint = next((hint for hint in named if hint), None)
    if type(error).__name__ in _BROKEN:
        return Failed(f"{where}: each time its bytes broke off before their end", _NETWORK)
    if type(error).__name__ == "ReadTimeoutError":
        return Failed(f"{where}: no answer came within {SILENCE} seconds, each time", _REACH)
    line = str(error).partition("\n")[0]  # botocore shows the rest of what it could not read
    return Failed(without_passwords(f"{where}: {line}"), hint)


def no_endpoint(error: ValueError, where: str) -> Misused:
    """Tell of an endpoint that is no URL; without a scheme, a password would not look like one.

    Args:
        error: of whoever tried to make a client of it.
        where: ``s3://bucket/prefix``.
    """
    endpoint = str(error).partition(": ")[2].rpartition("@")[2]
    return Misused(f"{where}: the endpoint of S3 is no URL: {endpoint}", _ENDPOINT)
