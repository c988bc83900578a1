"""Errors of AWS calls, and what each means for completeness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.collect.failures import Failure, SourceError, classify_error
from scanner.config import SecretMissingError

if TYPE_CHECKING:
    from scanner.records import Reason

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_WRONG_KEY = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset(
    {
        "AuthorizationError",
        "AuthorizationErrorException",
        "Forbidden",
        "ForbiddenException",
        "NotAuthorized",
        "OptInRequired",
        "SubscriptionRequiredException",
        "UnauthorizedOperation",
        "403",
    }
)
_THROTTLED = frozenset(
    {"BandwidthLimitExceeded", "LimitExceeded", "LimitExceededException", "RequestLimitExceeded", "SlowDown"}
)
_UNSUPPORTED = frozenset(
    {
        "InvalidAction",
        "NotImplemented",
        "NotImplementedException",
        "UnknownOperationException",
        "UnsupportedOperation",
        "UnsupportedOperationException",
    }
)


class MalformedError(SourceError):
    """A response does not match the service's model: truncated, not JSON, a wrong document."""

    def __init__(self, detail: str) -> None:
        super().__init__("malformed", detail)


class TruncatedError(SourceError):
    """A valid response is known to be incomplete."""

    def __init__(self, detail: str) -> None:
        super().__init__("truncated", detail)


class DeadlineError(SourceError):
    """The run must stop."""

    def __init__(self) -> None:
        super().__init__("deadline", "the run was stopped before this was read")


class DeniedError(SourceError):
    """A service reported in a successful response that some data is not visible."""

    def __init__(self, detail: str, needs: str) -> None:
        super().__init__("denied", detail, needs=needs)


class NotReadOnlyError(Exception):
    """The code tried to send an operation that is not listed in `permissions`: a bug in sprawlscan."""


class PartlyReadError(Exception):
    """A listing was read, but some of its items were not. ``first`` is the first item's exception."""

    def __init__(self, failed: list[str], total: int, first: Exception) -> None:
        names = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
        super().__init__(f"{len(failed)} of {total} could not be read ({names})")
        self.first = first


def code_of(exc: BaseException) -> str:
    """Return the AWS error code of a botocore ``ClientError``; an empty string for anything else."""
    response = getattr(exc, "response", None)
    error = response.get("Error") if isinstance(response, dict) else None
    return str(error.get("Code", "")) if isinstance(error, dict) else ""


def _reason(code: str, status: int) -> Reason:
    if code.startswith(("AccessDenied", "KMSAccessDenied")) or code in _DENIED | _EXPIRED | _WRONG_KEY:
        return "denied"
    if "Throttl" in code or code.startswith("TooManyRequests") or code in _THROTTLED or status == 429:
        return "throttled"
    if code in _UNSUPPORTED or status == 501 or (status == 404 and code in {"404", "Not Found", ""}):
        return "unsupported"
    if status in {401, 403}:
        return "denied"
    return "unreachable" if status >= 500 else "malformed"


def _advice(code: str) -> str:
    if code in _EXPIRED:
        return " The session has expired: sign in again, or use workload identity, which renews itself."
    if code in _WRONG_KEY:
        return " AWS does not recognize these credentials: check the profile, the partition (home_region) and the clock."
    return ""


def explain(exc: Exception) -> Failure | None:
    """Return the failure for an exception; None if only a bug in sprawlscan can cause it."""
    from botocore import exceptions as aws
    from botocore.parsers import ResponseParserError

    match exc:
        case PartlyReadError():
            first = explain(exc.first)
            if first is None:
                return None
            return Failure(reason=first.reason, detail=f"{exc}: {first.detail}", needs=first.needs)
        case aws.ClientError():
            error = exc.response.get("Error", {})
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = code_of(exc)
            message = str(error.get("Message", ""))[:1000]
            return Failure(
                reason=_reason(code, status),
                detail=f"{exc.operation_name}: HTTP {status} {code}: {message}.{_advice(code)}",
            )
        case aws.NoCredentialsError() | aws.PartialCredentialsError():
            return Failure(
                reason="denied",
                detail=f"{exc}: run with workload identity, or sign in (aws sso login) and set the profile",
            )
        case (
            aws.ProfileNotFound()
            | aws.CredentialRetrievalError()
            | aws.TokenRetrievalError()
            | aws.SSOError()
            | aws.RefreshWithMFAUnsupportedError()
            | aws.InvalidConfigError()
            | aws.ConfigParseError()
            | SecretMissingError()
        ):
            return Failure(reason="denied", detail=str(exc))
        case aws.SSLError():
            return Failure(
                reason="unreachable", detail=f"{exc} (behind a proxy that inspects TLS, set ca_bundle)"
            )
        case aws.HTTPClientError() | aws.ConnectionError() | aws.NoRegionError() | aws.UnknownEndpointError():
            return Failure(reason="unreachable", detail=f"{type(exc).__name__}: {exc}")
        case aws.EndpointProviderError():
            return Failure(reason="unsupported", detail=f"{type(exc).__name__}: {exc}")
        case ResponseParserError() | aws.PaginationError() | aws.ChecksumError():
            return Failure(reason="malformed", detail=f"{type(exc).__name__}: {exc}")
        case aws.IncompleteReadError() | ConnectionError() | TimeoutError():
            return Failure(reason="unreachable", detail=f"{type(exc).__name__}: {exc}")
        case SourceError():
            return classify_error(exc)
        case _:
            return None
